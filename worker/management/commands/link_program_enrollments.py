"""``manage.py link_program_enrollments``: link a mapping from the command line."""

from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction

from linking.bulk import fold_key
from worker import dispatch, jobs
from worker.exceptions import JobRefusedError
from worker.imports.rows import read_mapping
from worker.jobs.reports import write_report
from worker.jobs.request import LinkRequest, parse_link_request
from worker.jobs.slices import run_slice
from worker.management.command import JobCommand
from worker.management.console import progress_bar, show_job, watch
from worker.models import LinkingJob


class Command(JobCommand):
    """Link program enrollments to LMS users."""

    help = """Link the program enrollments of learners to their LMS users.

  manage.py link_program_enrollments PROGRAM_UUID KEY:USERNAME KEY:USERNAME …
  manage.py link_program_enrollments PROGRAM_UUID --file mapping.csv

Exit status: 0 all linked (or linked already), 3 done with failures, 1 not run."""
    broker_hint = "Start it, or use --now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("program_uuid", help="the program")
        parser.add_argument("pairs", nargs="*", metavar="KEY:USERNAME", help="external user key and LMS username")
        parser.add_argument("--file", type=Path, help="CSV with the columns external_user_key,lms_username")
        parser.add_argument("--now", action="store_true", help="run in this process, without broker or worker")
        self.add_link_options(parser)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        checks: Any = super().get_check_kwargs(options)
        # As a worker at its start.
        return {**checks, "databases": ["default"]} if options["now"] and settings.LINKING_LMS else checks

    def run(self, options: dict[str, Any]) -> None:
        self.check_link_options(options)
        request = _parse_request(options)
        job_id = uuid4()
        if options["now"]:
            job = self._run_here(job_id, request)
        else:
            dispatch.enqueue(job_id, request)
            if options["no_wait"]:
                self.console.print(f"{job_id}")
                return
            job = watch(job_id, request.total, self.console)
        show_job(job, self.console)
        if options["report"]:
            self.save_report(options["report"], partial(write_report, job_id))
        if job.state != LinkingJob.State.DONE:
            raise CommandError(job.message or f"job {job_id} is {job.state}.")
        self.exit_if_any_failed([job])

    def _run_here(self, job_id: UUID, request: LinkRequest) -> LinkingJob:
        """Run a job in this process, through the functions that the tasks call; return it."""
        job = _submit_alone(job_id, request)
        jobs.start(job)
        with progress_bar(self.console) as bar:
            task = bar.add_task("linking", total=job.total)
            for number in jobs.open_slices(job):
                while not (run := run_slice(job_id, number)).finished:
                    if run.is_paused:
                        msg = f"job {job_id} is paused: manage.py linking_jobs resume; a worker then goes on with it."
                        raise CommandError(msg)
                bar.advance(task, sum(run.counts.values()))
        if end := jobs.finish(job_id, notify=lambda _job, _errors: None):
            dispatch.dispatch_all(end.released)
        return LinkingJob.objects.get(pk=job_id)


def _submit_alone(job_id: UUID, request: LinkRequest) -> LinkingJob:
    """Submit a job that need not wait for another; otherwise write nothing, as nobody would begin it later.

    Raises:
        CommandError: there are open jobs over the same learners.
        JobRefusedError: as for :func:`worker.jobs.submit`.
    """
    refusal: JobRefusedError | None = None
    with transaction.atomic():
        try:
            job = jobs.submit(job_id, request)
        except JobRefusedError as error:  # The refused job stays in the ledger.
            refusal = error
        else:
            if jobs.must_wait(job):
                msg = (
                    f"--now cannot run beside open jobs over the same learners: {', '.join(job.waits_for)}. Wait for"
                    " them (manage.py linking_jobs watch JOB), or leave out --now: then a worker runs it after them."
                )
                raise CommandError(msg)
            for pause in jobs.pauses_by_job([job]).values():
                msg = f"--now links nothing while {pause.subject} is paused: manage.py linking_jobs resume."
                raise CommandError(msg)
    if refusal:
        raise refusal
    return job


def _parse_request(options: dict[str, Any]) -> LinkRequest:
    if options["file"] and options["pairs"]:
        msg = "give either KEY:USERNAME arguments or --file, not both."
        raise CommandError(msg)
    if not options["file"] and not options["pairs"]:
        msg = "nothing to link: give KEY:USERNAME arguments or --file."
        raise CommandError(msg)
    try:
        program = parse_link_request((options["program_uuid"], {}), {}).program_uuid
        mapping = read_mapping(options["file"], program) if options["file"] else _parse_pairs(options["pairs"])
        return parse_link_request((str(program), mapping), {name: options[name] for name in ("dry_run", "max_relinks")})
    except ValueError as error:
        raise CommandError(str(error)) from None


def _parse_pairs(pairs: list[str]) -> dict[str, str]:
    """Return a mapping from ``KEY:USERNAME`` arguments; the error messages are those of Open edX."""
    mapping: dict[str, str] = {}
    given: dict[str, str] = {}  # Key as given by key without regard to case.
    for item in pairs:
        key, _, username = (part.strip() for part in item.partition(":"))
        if not (key and username) or ":" in username:
            msg = f"incorrectly formatted argument '{item}', must be in form <external user key>:<lms username>"
            raise CommandError(msg)
        if (first := given.setdefault(fold_key(key), key)) != key:
            msg = f"external user key {key} provided multiple times, first as {first}: they differ only in case"
            raise CommandError(msg)
        if key in mapping:
            msg = f"external user key {key} provided multiple times"
            raise CommandError(msg)
        mapping[key] = username
    return mapping
