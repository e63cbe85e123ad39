"""The HTTP API: jobs for services without a Celery client."""
