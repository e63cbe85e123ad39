"""The kinds of interference between the learners of a world, and of data drift in its rows."""

from collections import Counter
from collections.abc import Iterator

from linking.keys import fold_key
from tests.support.worlds.values import PROGRAMS, Enrollment, World


def interferences(world: World) -> frozenset[str]:
    """Return the names of the kinds of interference and of data drift that ``world`` holds.

    It reads only the values, before any run: learners of a kind *could* affect each other.
    """
    return frozenset(_kinds(world))


def _kinds(world: World) -> Iterator[str]:
    account_of = {account.username: n for n, account in enumerate(world.accounts)}
    targets = {
        key: (enrollment, account_of[username])
        for key, username in world.mapping
        if username in account_of and (enrollment := _enrollment_with_key(world, key)) is not None
    }
    moves = [(world.enrollments[enrollment], account) for enrollment, account in targets.values()]

    if _repeats(fold_key(key) for key, _ in world.mapping):
        yield "keys that differ only in case"
    if _repeats(world.enrollments[enrollment].key for enrollment, _ in targets.values()):
        yield "one enrollment for several keys"
    if _repeats(account for _, account in moves):
        yield "one user for several keys"
    if _repeats((enrollment.curriculum, account) for enrollment, account in moves):
        yield "one user twice in a curriculum"
    for given, taker in moves:
        for taken, account in moves:
            if given is not taken and given.account not in {None, taker} and given.account == account:
                yield "chain"
                if taken.account == taker:
                    yield "swap"
                    if given.curriculum != taken.curriculum:
                        yield "swap across curricula"
    mapped = {enrollment for enrollment, _ in targets.values()}
    outside = [enrollment for n, enrollment in enumerate(world.enrollments) if n not in mapped]
    if any(_collides(enrollment, account, other) for enrollment, account in moves for other in outside):
        yield "collision outside the mapping"
    yield from _drift(world, mapped)


def _drift(world: World, mapped: set[int]) -> Iterator[str]:
    for run in world.course_runs:
        if run.enrollment not in mapped:
            continue
        if run.enrolled is not None:
            enrolled = world.enrolled[run.enrolled]
            account = world.enrollments[run.enrollment].account
            if account is None:
                yield "waiting, yet realized"
            elif enrolled.account != account:
                yield "points at another user's course enrollment"
            if enrolled.course != run.course:
                yield "points at another course run"
        if run.roles:
            yield "role assignments"
        if not world.courses[run.course].exists:
            yield "missing course"
    pointers = [(run.enrolled, run.enrollment) for run in world.course_runs if run.enrolled is not None]
    if any(one[0] == other[0] and one[1] in mapped for one in pointers for other in pointers if one is not other):
        yield "a course enrollment pointed at twice"


def _enrollment_with_key(world: World, key: str) -> int | None:
    enrollments = [
        (enrollment.key == key, n)
        for n, enrollment in enumerate(world.enrollments)
        if enrollment.program == PROGRAMS[0]
        and enrollment.key is not None
        and fold_key(enrollment.key) == fold_key(key)
    ]
    return max(enrollments)[1] if enrollments else None


def _collides(enrollment: Enrollment, account: int, other: Enrollment) -> bool:
    return (enrollment.program, enrollment.curriculum, account) == (other.program, other.curriculum, other.account)


def _repeats(values: Iterator[object]) -> bool:
    return any(count > 1 for count in Counter(values).values())
