"""The rows of small jobs and their learners: added to the sample, and removed before rows are compared."""

from django.contrib.auth import get_user_model
from django.db import connection, transaction

from samples.program import COURSES, CURRICULUM_UUIDS, Enrollment, SampleProgram, User

SHARED, JOBS_OF_SHARED, SINGLE = 20, 6, 380
"""Learners of the burst that are in several jobs, the number of these jobs, and learners that are in one."""
LEARNERS = [f"small-{n}" for n in range(SHARED + SINGLE + 2)]
"""External user keys. The last two are those of the unsendable callback and of the request that ends its worker."""


def add_learners(sample: SampleProgram) -> None:
    """Add the learners of small jobs to a sample: each has two users and waits for one."""
    for key in LEARNERS:
        sample.users += [User(username=username_of(key, 0)), User(username=username_of(key, 1))]
        sample.enrollments.append(Enrollment(key=key, curriculum=CURRICULUM_UUIDS[0], courses=COURSES[:2]))


def username_of(key: str, turn: int) -> str:
    """Return the user of a learner's first, second, … job: one of two, in turn."""
    return f"{key}-{'ab'[turn % 2]}"


@transaction.atomic
def remove_small_jobs() -> None:
    """Remove the rows of small jobs and of their learners, so that the others can be compared."""
    from linking.models import CourseEnrollment, ProgramEnrollment  # noqa: PLC0415 - models need the server's address
    from worker.models import LearnerOutcome, LinkingJob  # noqa: PLC0415 - as above

    users = list(get_user_model().objects.filter(username__startswith="small-").values_list("pk", flat=True))
    jobs = LearnerOutcome.objects.filter(external_user_key__startswith="small-").values_list("job_id", flat=True)
    ProgramEnrollment.objects.filter(external_user_key__startswith="small-").delete()
    CourseEnrollment.objects.filter(user_id__in=users).delete()
    LinkingJob.objects.filter(pk__in=set(jobs)).delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM chaos_history WHERE place LIKE 'small-%'")
        cursor.executemany("DELETE FROM chaos_history WHERE user_id = %s", [(user,) for user in users])
