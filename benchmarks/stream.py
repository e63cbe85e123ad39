"""A process that submits a job as a stream of learners, as an import does, and dispatches it."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import django

if TYPE_CHECKING:
    from linking.bulk import Learner


def main(job_id: UUID, size: int, total: int) -> None:
    """Submit a job of the first ``size`` of ``total`` learners, and dispatch it."""
    django.setup()
    from benchmarks.workloads import PROGRAM  # noqa: PLC0415 - models need Django to be set up
    from worker import jobs  # noqa: PLC0415
    from worker.dispatch import dispatch  # noqa: PLC0415
    from worker.jobs.request import LinkRequest  # noqa: PLC0415

    request = LinkRequest(program_uuid=PROGRAM, learners=_learners(size, total), total=size, digest="")
    dispatch(jobs.submit(job_id, request))


def _learners(size: int, total: int) -> Iterator["Learner"]:
    """Yield the learners one by one, like rows of a file."""
    from benchmarks.workloads import learner  # noqa: PLC0415
    from linking.bulk import Learner  # noqa: PLC0415

    for position in range(size):
        key, username = learner(position, total)
        yield Learner(position=position, external_user_key=key, lms_username=username)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")
    main(UUID(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
