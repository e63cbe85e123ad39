"""The ledger: jobs, their slices, their learners, and the files of the nightly import.

The ledger is the source of truth; Celery's results and messages follow it. A learner's outcome is written in the
transaction that links the learner.
"""

from worker.models.imported_rows import ImportedRow, ProgramFile, UnsettledImport
from worker.models.inbox import InboxFile
from worker.models.jobs import Claim, Cursor, JobQuerySet, LinkingJob
from worker.models.learners import JobSlice, LearnerOutcome
from worker.models.operation import JobTotals, ProgramName, RateLimit, RequestAttempts, RouteMarker
from worker.models.pauses import Pause

__all__ = [
    "Claim",
    "Cursor",
    "ImportedRow",
    "InboxFile",
    "JobQuerySet",
    "JobSlice",
    "JobTotals",
    "LearnerOutcome",
    "LinkingJob",
    "Pause",
    "ProgramFile",
    "ProgramName",
    "RateLimit",
    "RequestAttempts",
    "RouteMarker",
    "UnsettledImport",
]
