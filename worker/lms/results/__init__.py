"""Migrations of the result tables beside an LMS (:class:`worker.lms.apps.ResultsConfig`)."""
