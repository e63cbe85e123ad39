"""The names of the queues. All begin with ``LINKING_QUEUE``: other applications beside us in a broker keep theirs."""

from django.conf import settings

TASKS: str = settings.LINKING_QUEUE
"""The queue that callers send requests to; small jobs, the ends of all jobs and callbacks use it, too."""
BULK = f"{TASKS}.bulk"
"""The queue of the slices of jobs that are not small."""
RECOVERY = f"{TASKS}.recovery"
"""The queue of the sweeper and its follow-ups, which no other work delays."""
EVENTS = f"{TASKS}.events"
"""The queue of the delivery of events."""
DEAD = f"{TASKS}.dead"
"""The queue of messages that RabbitMQ gave up (quorum queues only)."""
