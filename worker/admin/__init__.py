"""Django's admin with linking jobs, their learners and actions, uploads, the tables of linking, and tokens."""

from worker.admin import api_tokens, job_admin, programs, tables

__all__ = ("api_tokens", "job_admin", "programs", "tables")
