"""The task that moves a user to the cohort of the mode."""

from tests.support.recording_lms.recording import RecordedTask

sync_cohort_with_mode = RecordedTask("sync_cohort_with_mode")
