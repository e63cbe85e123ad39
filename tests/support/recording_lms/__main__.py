"""Read commands from standard input, one JSON list a line, and write the result of each as one line of JSON."""

import json
import sys
from typing import TYPE_CHECKING, Any

from tests.support.recording_lms.start import start

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run the commands until the input ends."""
    start()
    from tests.support.recording_lms import commands  # noqa: PLC0415 - models need Django to be set up

    known: dict[str, Callable[..., Any]] = {
        "begin": commands.begin,
        "link": commands.link,
        "undo": commands.undo,
        "receive": commands.receive,
        "records": commands.records,
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(known[name](*arguments)) + "\n")
        sys.stdout.flush()


main()
