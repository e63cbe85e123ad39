"""The mode ``LINKING_LMS``: the worker runs on the database of an LMS, which owns all tables but ours."""
