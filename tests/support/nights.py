"""Imports of the files of one program, one after the other, as each night brings one."""

from collections.abc import Mapping
from pathlib import Path

from linking.models import ProgramEnrollment
from tests.support.inbox_files import write_file
from tests.support.jobs import run
from worker.imports.submission import import_in_place
from worker.models import LinkingJob


class Nights:
    """Imports of one program's files, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._night = 0

    def submit(self, mapping: Mapping[str, str], name: str = "night{}.csv", **options: object) -> LinkingJob:
        """Import a file up to its job."""
        self._night += 1
        path = write_file(self._folder / name.format(self._night), mapping)
        file = import_in_place(path, **options)  # type: ignore[arg-type] # options of the test
        return LinkingJob.objects.get(pk=file.jobs[0])

    def __call__(self, mapping: Mapping[str, str], name: str = "night{}.csv", **options: object) -> list[str]:
        """Import a file and run its job; return the keys that were submitted."""
        job = self.submit(mapping, name, **options)
        run(job)
        return keys_of(job)


def keys_of(job: LinkingJob) -> list[str]:
    """Return the keys of a job's learners, in its order."""
    return list(job.learners.order_by("position").values_list("external_user_key", flat=True))


def user_of(key: str) -> str | None:
    """Return the username of the user that a key is linked to."""
    return ProgramEnrollment.objects.values_list("user__username", flat=True).get(external_user_key=key)
