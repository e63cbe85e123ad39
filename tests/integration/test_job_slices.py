"""The slices of a job: few messages for many learners, and learners that interfere together, in mapping order."""

from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from tests.support.ids import ALGEBRA, OTHER_CURRICULUM, OTHER_PROGRAM
from tests.support.jobs import keys_by_slice, run, submit
from tests.support.rows import add_course_run, enroll, enroll_in_course, make_course, make_user
from worker import jobs
from worker.models import JobSlice, LearnerOutcome


def mapping_of(count: int) -> dict[str, str]:
    return {f"s-{n}": f"u-{n}" for n in range(count)}


def sizes(count: int, learners_per_subtask: int | None = None) -> list[int]:
    """Return the sizes of the slices of a job with ``count`` learners that do not interfere."""
    job = submit(mapping_of(count), learners_per_subtask=learners_per_subtask)
    slices = list(JobSlice.objects.filter(job=job).order_by("number").values_list("number", "total"))
    assert [number for number, _ in slices] == list(range(len(slices)))
    assert jobs.open_slices(job) == [number for number, _ in slices]
    return [total for _, total in slices]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [1]),
        (16, [1] * 16),
        (17, [17]),
        (1_000, [250] * 4),
        (10_000, [250] * 40),
        (20_000, [313] * 63 + [281]),
        (100_000, [1_000] * 100),
    ],
)
def test_a_small_mapping_gets_a_slice_per_learner_a_larger_one_slices_of_250_to_1_000(
    count: int, expected: list[int]
) -> None:
    assert sizes(count) == expected


@pytest.mark.parametrize(
    ("count", "asked", "expected"),
    [(200, 1, [1] * 200), (7, 3, [3, 3, 1]), (3_000, 2_500, [2_500, 500]), (3, 10**18, [3])],
)
def test_learners_per_subtask_overrides_the_size(count: int, asked: int, expected: list[int]) -> None:
    assert sizes(count, asked) == expected


def test_the_settings_say_how_many_slices_and_how_large(settings: Settings) -> None:
    settings.LINKING_MAX_SUBTASKS = 4
    settings.LINKING_MIN_SLICE = 6
    settings.LINKING_MAX_SLICE = 8

    assert sizes(20) == [6, 6, 6, 2]
    assert sizes(28) == [7] * 4
    assert sizes(80) == [8] * 10


def test_the_ledger_holds_every_learner_in_mapping_order() -> None:
    job = submit({"s-2": "bob", "S-1": "-", "é": "a,\"b'\\N\t\n{x}"})

    rows = LearnerOutcome.objects.filter(job=job).order_by("position")
    assert list(rows.values_list("position", "external_user_key", "lms_username", "outcome", "attempts")) == [
        (0, "s-2", "bob", "pending", 0),
        (1, "S-1", "-", "pending", 0),
        (2, "é", "a,\"b'\\N\t\n{x}", "pending", 0),
    ]


INTERFERING: dict[str, tuple[tuple[str, ...], dict[str, str | None], dict[str, str], list[list[str]]]] = {
    "keys that differ only in case share": (
        (),
        {},
        {"é-1": "ada", "s-2": "bob", "É-1": "eve", "S-2": "joe", "s-3": "kim"},
        [["é-1", "É-1"], ["s-2", "S-2"], ["s-3"]],
    ),
    "keys for one user share": (("ada",), {}, {"s-1": "ada", "s-2": "Ada", "s-3": "ada"}, [["s-1", "s-3"], ["s-2"]]),
    "keys for one missing user do not": ((), {}, {"s-1": "ada", "s-2": "ada"}, [["s-1"], ["s-2"]]),
    **{
        f"{keys[0]} before {keys[2]}: one gives up the user of the other": (
            ("ada", "bob", "eve"),
            {"s-1": "ada", "s-2": None},
            {key: {"s-1": "bob", "s-0": "eve", "s-2": "ada"}[key] for key in keys},
            [[keys[0], keys[2]], ["s-0"]],
        )
        for keys in (("s-1", "s-0", "s-2"), ("s-2", "s-0", "s-1"))
    },
    "a swap": (("ada", "bob"), {"s-1": "ada", "s-2": "bob"}, {"s-1": "bob", "s-2": "ada"}, [["s-1", "s-2"]]),
    "a chain of any length shares the slice of its first learner": (
        ("u-0", "u-1", "u-2", "u-3", "u-4"),
        {f"s-{n}": f"u-{n}" for n in range(5)},
        {"free": "nobody", "s-3": "u-4", "s-1": "u-2", "other": "nobody", "s-2": "u-3", "s-0": "u-1"},
        [["free"], ["s-3", "s-1", "s-2", "s-0"], ["other"]],
    ),
    "a key in another case": (
        ("ada", "bob"),
        {"S-1": "ada", "s-1": None},
        {"s-1": "bob", "s-2": "ada"},
        [["s-1", "s-2"]],
    ),
}


@pytest.mark.parametrize(("users", "enrolled", "mapping", "expected"), INTERFERING.values(), ids=INTERFERING)
@pytest.mark.parametrize("dry_run", [False, True], ids=["", "dry run"])
def test_interfering_learners_share_a_slice(
    users: tuple[str, ...],
    enrolled: dict[str, str | None],
    mapping: dict[str, str],
    expected: list[list[str]],
    *,
    dry_run: bool,
) -> None:
    by_name = {name: make_user(name) for name in users}
    for n, (key, name) in enumerate(enrolled.items(), start=1):
        enroll(key, by_name[name] if name else None, curriculum_uuid=UUID(int=n))

    assert keys_by_slice(submit(mapping, dry_run=dry_run)) == expected


@pytest.mark.parametrize(
    ("mapping", "expected"), [({"s-1": "ada", "s-2": "bob"}, 0), ({"s-1": "ada", "S-1": "bob"}, 2)]
)
def test_learners_that_interfere_are_looked_up_only_if_two_of_them_claim_one_token(
    mapping: dict[str, str], expected: int
) -> None:
    with CaptureQueriesContext(connection) as statements:
        submit(mapping)

    assert sum("OVER same" in statement["sql"] for statement in statements) == expected


def test_the_owner_of_a_course_enrollment_that_is_pointed_at_joins_learners() -> None:
    make_course(ALGEBRA)
    owner = make_user("ada")
    make_user("bob")
    add_course_run(enroll("s-1"), ALGEBRA, enroll_in_course(owner, ALGEBRA))
    enroll("s-2", curriculum_uuid=OTHER_CURRICULUM)

    assert keys_by_slice(submit({"s-1": "bob", "s-0": "eve", "s-2": "ada"})) == [["s-1", "s-2"], ["s-0"]]


def test_another_program_joins_nobody() -> None:
    ada = make_user("ada")
    make_user("bob")
    enroll("s-1", ada, program_uuid=OTHER_PROGRAM)

    assert keys_by_slice(submit({"s-1": "bob", "s-2": "ada"})) == [["s-1"], ["s-2"]]


def test_learners_that_interfere_leave_their_slices_and_the_ledger_counts_those_left() -> None:
    make_user("ada")
    mapping = {f"s-{n}": "ada" if n % 5 == 4 else f"u-{n}" for n in range(10)}

    job = submit(mapping, learners_per_subtask=5)

    assert keys_by_slice(job) == [["s-0", "s-1", "s-2", "s-3", "s-4", "s-9"], ["s-5", "s-6", "s-7", "s-8"]]
    assert list(job.slices.order_by("number").values_list("total", flat=True)) == [6, 4]


def test_a_slice_that_is_left_empty_is_none() -> None:
    make_user("ada")

    job = submit({"s-1": "ada", "s-2": "ada", "s-3": "bob"}, learners_per_subtask=1)

    assert list(job.slices.order_by("number").values_list("number", "total")) == [(0, 2), (2, 1)]
    assert run(job).keys() == {"s-1", "s-2", "s-3"}


def test_more_learners_than_a_slice_holds_stay_together_when_they_interfere(settings: Settings) -> None:
    settings.LINKING_MAX_SLICE = 2
    make_user("ada")

    job = submit({f"s-{n}": "ada" for n in range(200)})

    assert keys_by_slice(job) == [[f"s-{n}" for n in range(200)]]
