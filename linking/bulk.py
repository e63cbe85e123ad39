"""The names for a program that links in bulk and keeps a ledger of its own: the worker.

Slices and their results, queries on a whole mapping, SQL that differs between databases.
Any other program needs :mod:`linking.api` only.
"""

from linking.engine.batch import link_slice
from linking.engine.change import Pointer, pointers_of
from linking.engine.undo import undo_slice
from linking.keys import fold_key, is_storable
from linking.mapping import check_mapping, claimable_tokens, count_relinks, interfering_learners, warn_of_same_keys
from linking.messages import explain
from linking.outcomes import FAILURES, SUCCESSES, Learner, Outcome, Result
from linking.programs import program_uuids
from linking.sql import dialect, error_name, is_limit, is_lock_timeout, is_outage, is_transient
from linking.sql.interface import Statement
from linking.sql.statements import (
    advisory_lock,
    bulk_insert,
    early_commit,
    execute,
    fetch,
    is_one_of,
    quote,
    stored,
    update_rows,
    update_unlocked,
)
