"""Django's admin with jobs, their learners and actions, uploads, failed events, the tables of linking, and tokens."""

from worker.admin import api_tokens, events, job_admin, programs, tables

__all__ = ("api_tokens", "events", "job_admin", "programs", "tables")
