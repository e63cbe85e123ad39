"""A process that links and undoes as the LMS does, on the commands of a test, and records what it announces."""

from tests.support.recording_lms.start import start
from tests.support.serving import serve


def main() -> None:
    """Run the commands until the input ends."""
    start()
    from tests.support.recording_lms import commands  # noqa: PLC0415 - models need Django to be set up

    serve(
        {
            "begin": commands.begin,
            "link": commands.link,
            "undo": commands.undo,
            "receive": commands.receive,
            "records": commands.records,
        }
    )


main()
