"""Order among jobs: which jobs wait for which, and the checks before a job begins."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Subquery, UUIDField
from django.utils import timezone

from linking.bulk import Statement, advisory_lock, claimable_tokens, count_relinks, dialect, execute, fetch
from worker.jobs.selection import FORMER_USER_ID
from worker.jobs.slicing import cut_into_slices, mapping_of
from worker.jobs.tables import CLAIMS
from worker.models import Claim, JobQuerySet, LinkingJob
from worker.relink_limit import allowed_relinks, refusal

HEAD = Subquery(
    Claim.objects.filter(token=OuterRef("token")).order_by("id").values("job_id")[:1], output_field=UUIDField()
)
"""The job that has the first claim on the token of a claim."""
FIRST = f"SELECT job_id FROM {CLAIMS} head WHERE head.token = claim.token ORDER BY head.id LIMIT 1"
"""The same in SQL, for a row ``claim``."""
FEW = 1_000
"""Claims up to which tokens are looked up one by one; and learners of a job that has about so many."""
WAITS_SHOWN = 10
"""Most jobs that ``waits_for`` names."""


def check_relinks(job: LinkingJob) -> None:
    """Refuse a job that would relink more learners than ``max_relinks`` allows."""
    most = job.options.get("max_relinks")
    allowed = allowed_relinks(most, job.total)
    if allowed is None:
        return
    relinks = relinks_of(job)
    if relinks > allowed:
        job.state, job.started, job.finished = LinkingJob.State.REFUSED, None, timezone.now()
        job.message, job.relinks = refusal(relinks, job.total, most), relinks
        if not job.waits_for:  # Refused at submission: the failure of the request says so.
            job.notified = job.finished
        job.save(update_fields=["state", "started", "finished", "message", "relinks", "notified"])


def relinks_of(job: LinkingJob) -> int:
    """Return the number of a job's learners whose enrollment would change hands now."""
    return count_relinks(job.program_uuid, mapping_of(job))


def recheck(job: LinkingJob) -> None:
    """Re-check and re-slice a job that waited: earlier jobs may have relinked its learners."""
    if not job.waits_for or job.state != LinkingJob.State.RECEIVED:
        return
    check_relinks(job)
    if job.state == LinkingJob.State.RECEIVED and job.undoes_id is None:
        job.slices.all().delete()
        cut_into_slices(job)


def queue_up(job: LinkingJob) -> None:
    """Claim the tokens of a new job, and write whether it must wait: jobs over the same learners run in turn.

    The cost does not depend on how many jobs are open. Dry runs change nothing: they claim nothing and wait for none.
    """
    if job.dry_run:
        return
    # The order of claims is that of submissions, and of two jobs submitted at once one sees the other.
    advisory_lock(job.program_uuid)
    tokens, parameters = claimable_tokens(job.program_uuid, mapping_of(job), _former_users(job))
    sql = f"INSERT INTO {CLAIMS} (job_id, token, brings) SELECT %s, token, brings FROM ({tokens}) mine"
    execute(sql, [job.pk, *parameters])
    if not _has_company(job) or not (others := _jobs_ahead(job)):
        return
    # They may relink the job's keys before it begins: it claims the users that they link to them, too.
    sql = f"""
        INSERT INTO {CLAIMS} (job_id, token)
        SELECT DISTINCT mine.job_id, earlier.brings
        FROM {CLAIMS} mine JOIN {CLAIMS} earlier ON earlier.token = mine.token
        WHERE mine.job_id = %s AND earlier.job_id <> %s AND earlier.brings IS NOT NULL
    """
    execute(sql, [job.pk, job.pk])
    job.waits_for = _jobs_ahead(job) if len(others) < WAITS_SHOWN else others


def may_interfere(job: LinkingJob) -> bool:
    """Return whether learners of a job that has just queued up may interfere: two of them have claimed one token."""
    if job.total == 1:
        return False
    if job.dry_run:
        return True  # It has no claims that would show it.
    sql = f"SELECT COUNT(*) <> COUNT(DISTINCT token) FROM {CLAIMS} WHERE job_id = %s"
    return bool(fetch(sql, [job.pk])[0][0])


def _jobs_ahead(job: LinkingJob) -> list[str]:
    """Return the ids of the other jobs that have the first claim on a token of a job, WAITS_SHOWN at most."""
    heads = f"SELECT DISTINCT ({FIRST}) AS head FROM {CLAIMS} claim WHERE claim.job_id = %s"
    others = fetch(f"SELECT head FROM ({heads}) found WHERE head <> %s LIMIT %s", [job.pk, job.pk, WAITS_SHOWN])
    return [str(UUID(str(head))) for (head,) in others]


def _former_users(job: LinkingJob) -> Statement | None:
    """Return a query of the keys of an undo's learners and the users that they get back."""
    if job.undoes_id is None:
        return None
    learners = job.learners.annotate(former=FORMER_USER_ID).order_by().values_list("external_user_key", "former")
    sql, parameters = learners.query.sql_with_params()
    return sql, list(parameters)


def _has_company(job: LinkingJob) -> bool:
    """Return whether other jobs of the program are open; for a small job, looking up its claims costs less."""
    if job.total <= FEW:
        return True
    return LinkingJob.objects.unnotified().filter(program_uuid=job.program_uuid).exclude(pk=job.pk).exists()


def must_wait(job: LinkingJob) -> bool:
    """Return whether a job waits for others."""
    return bool(job.waits_for) and not _free(LinkingJob.objects.filter(pk=job.pk)).exists()


def waiting_among(jobs: Sequence[LinkingJob]) -> set[UUID]:
    """Return the ids of those of some jobs that wait for others, in a few statements for all."""
    waited = {job.pk for job in jobs if job.waits_for and job.state == LinkingJob.State.RECEIVED}
    if not waited:
        return set()
    return waited - set(_free(LinkingJob.objects.filter(pk__in=waited)).values_list("pk", flat=True))


def withdraw(job: LinkingJob) -> list[int] | None:
    """Remove the claims of a job that has ended.

    Returns:
        Their tokens, for :func:`released_by`; None where they are many.
    """
    tokens = [token for (token,) in fetch(f"SELECT token FROM {CLAIMS} WHERE job_id = %s LIMIT %s", [job.pk, FEW + 1])]
    if tokens:
        execute(f"DELETE FROM {CLAIMS} WHERE job_id = %s", [job.pk])
    return tokens if len(tokens) <= FEW else None


def withdraw_left(jobs: Sequence[LinkingJob]) -> None:
    """Remove the claims, ahead of some jobs, of jobs that have ended: a worker of an earlier release leaves them."""
    waited = [job.pk for job in jobs if job.waits_for and job.state == LinkingJob.State.RECEIVED]
    ahead = Claim.objects.annotate(head=HEAD).filter(job__in=waited).exclude(head=F("job")).order_by().values("head")
    for ended in LinkingJob.objects.filter(pk__in=ahead).exclude(notified=None) if waited else ():
        withdraw(ended)


def released_by(job: LinkingJob, tokens: Sequence[int] | None) -> list[LinkingJob]:
    """Return the jobs that waited and can begin now that a job has withdrawn its claims and this is committed.

    Args:
        job: the job.
        tokens: those of its claims; None: check all waiting jobs of its program.
    """
    waiting = LinkingJob.objects.waiting()
    if tokens is None:
        return list(_free(waiting.filter(program_uuid=job.program_uuid)))
    heads = set(_heads(tokens))
    return list(_free(waiting.filter(pk__in=heads))) if heads else []


def _heads(tokens: Sequence[int]) -> Iterator[UUID]:
    """Yield the jobs that have the first claim on each of some tokens."""
    rows, parameters = dialect().rowset("claim", {"token": "bigint"}, [(token,) for token in tokens])
    for (head,) in fetch(f"SELECT ({FIRST}) FROM {rows}", parameters):
        if head is not None:
            yield UUID(str(head))


def _free(jobs: JobQuerySet) -> JobQuerySet:
    """Return those of some jobs that wait for none: each has the first claim on all its tokens."""
    claims = Claim.objects.filter(job=OuterRef("pk"))
    # Jobs that an earlier release submitted have no claims, and wait for the jobs that they name.
    waiting = [
        job.pk
        for job in jobs.exclude(Exists(claims))
        if LinkingJob.objects.open().filter(pk__in=job.waits_for).exists()
    ]
    return jobs.exclude(Exists(claims.annotate(head=HEAD).exclude(head=F("job")))).exclude(pk__in=waiting)
