"""Read commands from standard input, one JSON list a line, and write the result of each as one line of JSON."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run the commands until the input ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.support.living_lms.settings"
    django.setup()
    from tests.support.living_lms import enrolling, models  # noqa: PLC0415 - as above
    from tests.support.living_lms.life import Life  # noqa: PLC0415 - models need Django to be set up
    from tests.support.living_lms.linking import Linking  # noqa: PLC0415 - as above

    linking = Linking(models.ProgramEnrollment, models.CourseEnrollment, models.CourseOverview, enrolling)
    lives: list[Life] = []
    commands: dict[str, Callable[..., Any]] = {
        "link": linking.link_program_enrollments,
        "live": lambda threads, seed: lives.append(Life(threads, seed)),
        "stop": lambda: lives.pop().stop(),
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(commands[name](*arguments)) + "\n")
        sys.stdout.flush()


main()
