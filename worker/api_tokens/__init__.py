"""Tokens of the HTTP API: who may submit and read jobs over HTTP, and how often."""
