"""The events of a round: a receiver in the workers that writes each one to a file, and the check of that file."""

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection

from chaos.injection import EVENTS
from linking.events import Event
from linking.outbox import delivery, lease

Transition = tuple[Any, ...]

if EVENTS in os.environ:
    from worker.tasks import deliver_events

    # Seconds: the lease of a process that was killed must end within a round.
    deliver_events.time_limit = lease.TIME_LIMIT = 6
    lease.MARGIN, delivery.SECONDS = 1, 2.0


def write_event(event: Event, **_: Any) -> None:
    """Append an event to the file: its id, number, user and program enrollment, and what happened."""
    line = [str(event.uuid), event.pk, event.user_id, event.program_enrollment_id, _transition(event)]
    file = os.open(os.environ[EVENTS], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")  # At once: a process that is killed leaves no half line.
    finally:
        os.close(file)


def recorded_transitions() -> Counter[Transition]:
    """Return what the events of this database say, without users whose learners may be in different transactions."""
    left_out = _users_left_out()
    return Counter(_transition(event) for event in Event.objects.all() if event.user_id not in left_out)


def find_faults(path: Path, expected: Counter[Transition]) -> dict[str, list[str]]:
    """Return what is wrong with the delivered events, by the kind of violation.

    Each transition was delivered, in order for each user and program enrollment, and again under its id only.
    """
    faults: dict[str, list[str]] = defaultdict(list)
    if waiting := Event.objects.count():
        faults["hanging"].append(f"{waiting:,} events are not delivered")
    left_out = _users_left_out()
    delivered: dict[str, Transition] = {}
    last: dict[tuple[str, int], int] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        uuid, number, user, enrollment, content = json.loads(line)
        transition = tuple(content)
        if uuid in delivered:
            if delivered[uuid] != transition:
                faults["other"].append(f"event {uuid} was delivered with another content")
            continue
        delivered[uuid] = transition
        for owner in (("user", user), ("program enrollment", enrollment)):
            if number < last.get(owner, 0):
                faults["other"].append(f"event {number} of {owner} was delivered after event {last[owner]}")
            last[owner] = number
    found = Counter(transition for transition in delivered.values() if transition[0] not in left_out)
    for kind, difference in (("lost", expected - found), ("doubled", found - expected)):
        if difference:
            faults[kind].append(f"events: {difference.total():,}, such as {next(iter(difference))}")
    return faults


def _transition(event: Event) -> Transition:
    steps = (event.kind, event.path, event.before, event.after, event.skip_refund, event.role)
    return (event.user_id, event.course_key, *steps)


def _users_left_out() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id FROM chaos_shared")
        shared = {user for (user,) in cursor.fetchall()}
    small = get_user_model().objects.filter(username__startswith="small-")
    return shared | set(small.values_list("pk", flat=True))
