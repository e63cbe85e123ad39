"""A process that changes rows as a living LMS does, on the commands of a test."""

import os

import django

from tests.support.serving import serve


def main() -> None:
    """Run the commands until the input ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.support.living_lms.settings"
    django.setup()
    from tests.support.living_lms import enrolling, models  # noqa: PLC0415 - as above
    from tests.support.living_lms.life import Life  # noqa: PLC0415 - models need Django to be set up
    from tests.support.living_lms.linking import Linking  # noqa: PLC0415 - as above

    linking = Linking(models.ProgramEnrollment, models.CourseEnrollment, models.CourseOverview, enrolling)
    lives: list[Life] = []
    serve(
        {
            "link": linking.link_program_enrollments,
            "live": lambda threads, seed: lives.append(Life(threads, seed)),
            "stop": lambda: lives.pop().stop(),
        }
    )


main()
