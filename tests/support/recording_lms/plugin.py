"""A process with the plug-in, on the commands of a test.

They make its receivers fail, retire users, and ask for its checks.
"""

from tests.support.recording_lms.start import start
from tests.support.serving import serve


def main() -> None:
    """Run the commands until the input ends."""
    start()
    from tests.support.recording_lms import commands, faults  # noqa: PLC0415 - models need Django to be set up

    serve(
        {
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
    )


if __name__ == "__main__":
    main()
