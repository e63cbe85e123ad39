"""The daily life of the LMS: threads that read, enroll, unenroll and change modes until they are stopped."""

import random
import threading
import time
from collections import Counter

from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction

from tests.support.living_lms.enrolling import enroll, update_enrollment
from tests.support.living_lms.models import CourseEnrollment, CourseOverview, ProgramCourseEnrollment, ProgramEnrollment

MODES = ("audit", "honor", "verified", "masters")
PAUSE = 0.005
"""Seconds between two requests of a thread."""


class Life:
    """Threads that do what an LMS does for its users, each request in a transaction of its own."""

    def __init__(self, threads: int, seed: int) -> None:
        self._stopped = threading.Event()
        self._counts: Counter[str] = Counter()
        self._errors: list[str] = []
        self._users = list(User.objects.order_by("id"))
        self._courses = list(CourseOverview.objects.values_list("id", flat=True))
        self._threads = [threading.Thread(target=self._live, args=(seed + n,)) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> dict[str, int]:
        """Stop the threads and return the number of requests by kind."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise RuntimeError(self._errors[0])
        return dict(self._counts)

    def _live(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - the same life for the same seed
        try:
            while not self._stopped.is_set():
                self._request(chance)
                time.sleep(PAUSE)
        except Exception as error:  # noqa: BLE001 - raised by stop()
            self._errors.append(repr(error))
        finally:
            connection.close()

    def _request(self, chance: random.Random) -> None:
        kind = chance.choice(["read", "enroll", "unenroll", "change mode", "save program course enrollment"])
        users, courses = chance.sample(self._users, 2), chance.sample(self._courses, min(2, len(self._courses)))
        try:
            with transaction.atomic():
                for user in users:  # In any order: deadlocks with others are part of life.
                    for course in courses:
                        _serve(kind, user, course, chance)
        except OperationalError as error:
            if error.args[0] not in {1205, 1213, 1467}:
                raise
            kind = "deadlock"
        self._counts[kind] += 1


def _serve(kind: str, user: User, course: str, chance: random.Random) -> None:
    enrollments = CourseEnrollment.objects.filter(user=user, course_id=course)
    if kind == "read":
        list(enrollments)
        list(ProgramEnrollment.objects.filter(user=user))
    elif kind == "enroll":
        if not enrollments.filter(is_active=True).exists():
            with transaction.atomic():
                enroll(user, course, chance.choice(MODES))
    elif kind == "unenroll":
        for enrollment in enrollments.filter(is_active=True):
            update_enrollment(enrollment, is_active=False)
    elif kind == "change mode":
        for enrollment in enrollments:
            update_enrollment(enrollment, mode=chance.choice(MODES))
    else:
        for run in ProgramCourseEnrollment.objects.filter(program_enrollment__user=user, course_key=course):
            run.save()
