"""The tasks: decode the message, call one function, encode the result. Their names are a contract with callers."""

from worker.tasks.events import acknowledge_events, deliver_events, refuse_events
from worker.tasks.files import attend_inbox, import_inbox
from worker.tasks.recovery import dispatch_resumed, note_received_marker, pause, resume, resume_stalled_jobs
from worker.tasks.requests import link_program_enrollments, undo_job
from worker.tasks.retention import forget_learner, purge_expired_jobs
from worker.tasks.slices import finish_job, link_learners
