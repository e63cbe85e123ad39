"""Jobs: submitted, cut into slices, run slice by slice, finished, recovered, purged. No Celery in here."""

from worker.jobs.lifecycle import cancel, finish, give_up, is_over, note, note_dispatched, start
from worker.jobs.pauses import pause, pauses_by_job, resume
from worker.jobs.progress import (
    Errors,
    Progress,
    error_dictionary,
    find_errors,
    progress_by_job,
    progress_of,
    purged_message,
    require_learners,
)
from worker.jobs.queueing import must_wait
from worker.jobs.slicing import open_slices
from worker.jobs.submission import submit, submit_undo
