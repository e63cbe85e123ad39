"""What is going on in a world: the ways in which its learners meet each other and rows that are not theirs."""

from collections import Counter
from collections.abc import Iterator

from linking.keys import fold_key
from tests.support.worlds.values import PROGRAMS, Place, World


def interferences(world: World) -> frozenset[str]:
    """Return the names of the kinds of interference and of data drift that ``world`` holds.

    Told from the values alone, before any run: a kind says what learners *could* do to each other.
    """
    return frozenset(_kinds(world))


def _kinds(world: World) -> Iterator[str]:
    account_of = {account.username: n for n, account in enumerate(world.accounts)}
    targets = {
        key: (place, account_of[username])
        for key, username in world.mapping
        if username in account_of and (place := _place_of(world, key)) is not None
    }
    moves = [(world.places[place], account) for place, account in targets.values()]

    if _repeats(fold_key(key) for key, _ in world.mapping):
        yield "keys that differ only in case"
    if _repeats(world.places[place].key for place, _ in targets.values()):
        yield "one enrollment for several keys"
    if _repeats(account for _, account in moves):
        yield "one user for several keys"
    if _repeats((place.curriculum, account) for place, account in moves):
        yield "one user twice in a curriculum"
    for given, taker in moves:
        for taken, account in moves:
            if given is not taken and given.account not in {None, taker} and given.account == account:
                yield "chain"
                if taken.account == taker:
                    yield "swap"
                    if given.curriculum != taken.curriculum:
                        yield "swap across curricula"
    mapped = {place for place, _ in targets.values()}
    outside = [place for n, place in enumerate(world.places) if n not in mapped]
    if any(_collides(place, account, other) for place, account in moves for other in outside):
        yield "collision outside the mapping"
    yield from _drift(world, mapped)


def _drift(world: World, mapped: set[int]) -> Iterator[str]:
    for run in world.course_runs:
        if run.place not in mapped:
            continue
        if run.enrolled is not None:
            enrolled = world.enrolled[run.enrolled]
            account = world.places[run.place].account
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
    pointers = [(run.enrolled, run.place) for run in world.course_runs if run.enrolled is not None]
    if any(one[0] == other[0] and one[1] in mapped for one in pointers for other in pointers if one is not other):
        yield "a course enrollment pointed at twice"


def _place_of(world: World, key: str) -> int | None:
    places = [
        (place.key == key, n)
        for n, place in enumerate(world.places)
        if place.program == PROGRAMS[0] and place.key is not None and fold_key(place.key) == fold_key(key)
    ]
    return max(places)[1] if places else None


def _collides(place: Place, account: int, other: Place) -> bool:
    return (place.program, place.curriculum, account) == (other.program, other.curriculum, other.account)


def _repeats(values: Iterator[object]) -> bool:
    return any(count > 1 for count in Counter(values).values())
