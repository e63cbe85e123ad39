"""A small LMS: a Django project of its own on the tables of Open edX, with the real django-simple-history.

``python -m tests.support.living_lms`` runs it. It does what the facts about Open edX say, in words of our own: a save
for each row, and with it a history row; enrollments that were allowed by e-mail; the history of roles.
"""
