"""The names for a program that links in bulk and keeps a ledger of its own: the worker.

Slices and their outcomes, questions about a whole mapping, SQL that differs between databases.
Any other program needs :mod:`linking.api` only.
"""

from linking.engine.batch import Ledger, link_slice, rehearse_slice
from linking.engine.restore import Pointer, pointers_of
from linking.engine.undo import UndoLedger, rehearse_undo, undo_slice
from linking.keys import is_storable
from linking.mapping import check_mapping, count_relinks, interfering_learners, overlap, serialize_by
from linking.outcomes import FAILURES, SUCCESSES, Learner, Outcome, Result
from linking.sql.errors import is_contention, is_outage, is_transient
from linking.sql.lookups import stored_uuid
from linking.sql.rowsets import execute, fetch, rowset

__all__ = (
    "FAILURES",
    "SUCCESSES",
    "Learner",
    "Ledger",
    "Outcome",
    "Pointer",
    "Result",
    "UndoLedger",
    "check_mapping",
    "count_relinks",
    "execute",
    "fetch",
    "interfering_learners",
    "is_contention",
    "is_outage",
    "is_storable",
    "is_transient",
    "link_slice",
    "overlap",
    "pointers_of",
    "rehearse_slice",
    "rehearse_undo",
    "rowset",
    "serialize_by",
    "stored_uuid",
    "undo_slice",
)
