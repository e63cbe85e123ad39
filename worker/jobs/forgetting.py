"""Forgetting a person: their names leave the ledger and the stored results; jobs, outcomes and counts stay.

No index finds a learner by name, as none is needed otherwise: the ledger is read as a whole, in bounded steps, each a
transaction of its own. A repetition after a kill finds what is left.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Func, Max, Min, Q, QuerySet, TextField, Value
from django_celery_results.models import TaskResult

from linking.bulk import dialect
from worker.jobs.imported_rows import forget_rows
from worker.jobs.person import Person
from worker.models import LearnerOutcome, LinkingJob

LEARNERS = 50_000
"""Learners that one statement reads, about."""
RESULTS = 5_000
"""Task results that one statement reads."""
FORGOTTEN_MESSAGE = "The learner was forgotten: key, username and change are no longer in the ledger."
"""The message of a learner that was forgotten; its key and username are empty."""
FORGOTTEN_VALUES: Mapping[str, Any] = {
    "external_user_key": "",
    "lms_username": "",
    "message": FORGOTTEN_MESSAGE,
    "warnings": [],
    "before": None,
}
"""The values of such a learner."""


@dataclass(slots=True, kw_only=True)
class Forgotten:
    """What was forgotten, and where the person is still named."""

    learners: int = 0  # Learners of jobs that had the person's key or username.
    mentions: int = 0  # Learners whose texts named the person.
    results: int = 0  # Stored results that named the person.
    jobs: set[UUID] = field(default_factory=set)  # The jobs of these learners.
    open_jobs: set[UUID] = field(default_factory=set)  # Jobs that have not ended: their learners are left.


def forget(person: Person) -> Forgotten:
    """Remove a person from the ledger and from the results in the database.

    Learners of open jobs are left: forget the person again when these have ended.
    """
    forgotten = Forgotten()
    for learners in _steps():
        with transaction.atomic():
            _forget_learners(_find(learners, person), person, forgotten)
    _forget_results(person, forgotten)
    forget_rows(person.keys)
    return forgotten


def _steps() -> Iterator["QuerySet[LearnerOutcome]"]:
    """Yield all learners in the ledger, job by job from the oldest: parts of large jobs, and small jobs together."""
    kept = LinkingJob.objects.filter(Q(purged=None) | Q(purging=True)).order_by("created", "pk")
    some: list[UUID] = []
    total = 0
    for job_id, size in kept.values_list("pk", "total").iterator(chunk_size=2_000):
        if some and total + size > LEARNERS:
            yield LearnerOutcome.objects.filter(job__in=some)
            some, total = [], 0
        if size > LEARNERS:
            yield from _parts(LearnerOutcome.objects.filter(job=job_id))
        else:
            some, total = [*some, job_id], total + size
    yield LearnerOutcome.objects.filter(job__in=some)


def _parts(learners: "QuerySet[LearnerOutcome]") -> Iterator["QuerySet[LearnerOutcome]"]:
    ends = learners.aggregate(first=Min("position"), last=Max("position"))
    if ends["last"] is not None:
        for start in range(ends["first"], ends["last"] + 1, LEARNERS):
            yield learners.filter(position__range=(start, start + LEARNERS - 1))


def _find(learners: "QuerySet[LearnerOutcome]", person: Person) -> "QuerySet[LearnerOutcome]":
    """Return the learners that are the person, or may name the person in a text."""
    fold = partial(Func, template=dialect().fold("%(expressions)s"), output_field=TextField())
    folded, keys = fold(F("external_user_key")), [fold(Value(key)) for key in person.keys]
    found = Q(folded__in=keys) | Q(lms_username__in=person.names)
    for name in person.names:
        found |= Q(message__contains=name) | Q(warnings__icontains=json.dumps(name)[1:-1])
    return learners.alias(folded=folded).filter(found)


def _forget_learners(learners: "QuerySet[LearnerOutcome]", person: Person, forgotten: Forgotten) -> None:
    """Forget the person among some learners; those of jobs that have ended are changed by nothing else."""
    found = {}
    for learner in learners:
        is_own = person.is_named(learner.external_user_key, learner.lms_username)
        if is_own or any(map(person.is_in, [learner.message, *learner.warnings])):
            found[learner] = is_own
    job_ids = {learner.job_id for learner in found}
    ended = {job.pk: job for job in LinkingJob.objects.filter(pk__in=job_ids).exclude(notified=None)}
    forgotten.open_jobs |= job_ids - ended.keys()
    for learner, is_own in found.items():
        if learner.job_id in ended:
            row = LearnerOutcome.objects.filter(pk=learner.pk)
            if is_own:
                row.update(**FORGOTTEN_VALUES)
                forgotten.learners += 1
            else:
                message, *warnings = map(person.hide, [learner.message, *learner.warnings])
                row.update(message=message, warnings=warnings)
                forgotten.mentions += 1
    for job in ended.values():
        _forget_job(job, person)
    forgotten.jobs |= ended.keys()


def _forget_job(job: LinkingJob, person: Person) -> None:
    """Remove what the caller of an ended job may have named the person in."""
    key = job.idempotency_key
    LinkingJob.objects.filter(pk=job.pk).update(
        reply={},  # Its callbacks were sent.
        idempotency_key=None if key and person.is_in(key) else key,
        source=person.hide(job.source),
        message=person.hide(job.message),
    )


def _forget_results(person: Person, forgotten: Forgotten) -> None:
    """Remove the person from results: those of the jobs, and failures whose text quotes a request."""
    named = Q(task_id__in=list(map(str, forgotten.jobs)))
    for name in person.names:
        for text in {name, json.dumps(name)[1:-1]}:
            named |= Q(result__icontains=text) | Q(traceback__icontains=text)
    last = TaskResult.objects.aggregate(last=Max("pk"))["last"] or 0
    for start in range(0, last + 1, RESULTS):
        with transaction.atomic():
            some = TaskResult.objects.filter(named, pk__gte=start, pk__lt=start + RESULTS)
            for result in some.select_for_update():
                _forget_result(result, person, forgotten)


def _forget_result(result: TaskResult, person: Person, forgotten: Forgotten) -> None:
    value: Any = result.result
    with suppress(TypeError, ValueError):
        value = json.dumps(_without(json.loads(result.result), person))
    texts = (value, result.traceback and person.hide(result.traceback))
    if texts != (result.result, result.traceback):
        result.result, result.traceback = texts
        result.save(update_fields=["result", "traceback"])
        forgotten.results += 1


def _without(value: Any, person: Person) -> Any:
    """Return a result without the entries and names of the person."""
    if isinstance(value, dict):
        kept = {key: text for key, text in value.items() if not person.is_named(key, "")}
        return {key: _without(text, person) for key, text in kept.items()}
    if isinstance(value, list):
        return [_without(item, person) for item in value]
    return person.hide(value) if isinstance(value, str) else value
