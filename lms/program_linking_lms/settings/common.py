"""Defaults of our settings; the LMS's own files override them."""

from typing import Any

DEFAULTS = {
    # Address of the worker's broker; empty: it is the LMS's own.
    "PROGRAM_LINKING_BROKER_URL": "",
    # The queue of the worker's requests: its LINKING_QUEUE.
    "PROGRAM_LINKING_QUEUE": "linking",
    # Days for which the ids of processed events are kept.
    "PROGRAM_LINKING_KEEP_DAYS": 90,
}


def plugin_settings(settings: Any) -> None:
    """Add our settings to those of the LMS."""
    for name, value in DEFAULTS.items():
        setattr(settings, name, getattr(settings, name, value))
