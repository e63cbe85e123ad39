"""Django's admin with linking jobs, their learners and actions, uploads, and the tables of linking."""

from worker.admin import job_admin, programs, tables

__all__ = ("job_admin", "programs", "tables")
