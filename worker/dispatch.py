"""Sending of slices, the end of a job and callbacks: the one place that builds a canvas."""
