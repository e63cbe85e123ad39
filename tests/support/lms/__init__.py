"""A database of an LMS: ``schema.sql`` has the tables of Open edX that linking touches.

``pytest --lms`` runs tests, and the workers that they start, with ``LINKING_LMS=1`` on such a database.
"""
