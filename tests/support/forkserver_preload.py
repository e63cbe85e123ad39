"""Imported once by the process that the processes of a test are forked from."""

import django

django.setup()

import tests.support.jobs  # noqa: E402, F401 - models need Django set up
import worker.imports.inbox  # noqa: E402, F401 - as above
