"""Read commands about the plug-in from standard input, as :mod:`tests.support.recording_lms` does.

They make its receivers fail, retire users, and ask for its checks.
"""

import json
import sys
from typing import TYPE_CHECKING, Any

from tests.support.recording_lms.start import start

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run the commands until the input ends."""
    start()
    from tests.support.recording_lms import commands, faults  # noqa: PLC0415 - models need Django to be set up

    known: dict[str, Callable[..., Any]] = {
        "begin": commands.begin,
        "receive": faults.receive,
        "receive_twice": faults.receive_twice,
        "records": commands.records,
        "fail": faults.fail,
        "mend": faults.mend,
        "log": faults.log,
        "processed": faults.processed,
        "purge": faults.purge,
        "retire": faults.retire,
        "remove_profile": faults.remove_profile,
        "keep_roles": faults.keep_roles,
        "check": faults.check,
        "found": faults.found,
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(known[name](*arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
