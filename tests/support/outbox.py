"""The steps that the outbox has recorded."""

from collections import defaultdict

from linking.events import Event
from tests.support.course_enrollments import State, Step


def recorded_steps() -> list[Step]:
    """Return the recorded transitions in their order."""
    return [
        Step(
            user=event.user_id,
            course=event.course_key,
            kind=event.kind,
            path=event.path,
            before=state_of(event.before),
            after=state_of(event.after),
            skip_refund=event.skip_refund,
            role=event.role,
        )
        for event in Event.objects.order_by("pk")
    ]


def state_of(text: str) -> State | None:
    activity, _, mode = text.partition(" ")
    return (activity == "active", mode) if text else None


def by_user(steps: list[Step]) -> dict[int, list[Step]]:
    """Return the steps of each user, in order."""
    found: dict[int, list[Step]] = defaultdict(list)
    for step in steps:
        found[step.user].append(step)
    return dict(found)
