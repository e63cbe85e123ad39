#!/usr/bin/env python
"""Django's command-line utility."""

import os
import sys


def main() -> None:
    """Run an administrative task."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - needs the settings above

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
