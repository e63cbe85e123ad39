"""Django's admin with linking jobs, their learners and actions, uploads, the tables of linking, and tokens."""

from worker.admin import job_admin, programs, tables, tokens

__all__ = ("job_admin", "programs", "tables", "tokens")
