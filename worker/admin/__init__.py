"""The pages for people: Django's admin with linking jobs, their learners, uploads and buttons.

Django imports this package, as every application's ``admin``; what is registered is in ``jobs`` and ``tables``.
"""

from worker.admin import jobs, tables

__all__ = ("jobs", "tables")
