"""The result tables beside an LMS."""

from django_celery_results.apps import CeleryResultConfig


class ResultsConfig(CeleryResultConfig):
    """django-celery-results under another label: the LMS has tables of its own label, of a release of its choice.

    The purge of either side removes every old result of its tables.
    """

    label = "linking_results"
