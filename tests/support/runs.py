"""The ways to run the workflow that must agree: the engine in process, the engine slice by slice, the reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from linking import api, bulk
from linking.outcomes import Learner, Result
from tests.support import reference
from tests.support.ids import PROGRAM


class Link(Protocol):
    """Run the workflow on a mapping and return the error dictionary."""

    def __call__(self, mapping: Mapping[str, str], program: UUID | str = PROGRAM) -> dict[str, str]: ...


def link_by_engine(mapping: Mapping[str, str], program: UUID | str = PROGRAM) -> dict[str, str]:
    """Run the engine, in process."""
    return api.link_program_enrollments(program, mapping)


def link_by_reference(mapping: Mapping[str, str], program: UUID | str = PROGRAM) -> dict[str, str]:
    """Run the sequential reference."""
    return reference.link_program_enrollments(program, mapping).errors


@dataclass
class MemoryLedger:
    """A ledger in memory: every claimed learner is open, and the last recorded result counts."""

    learners: Sequence[Learner]
    results: dict[int, Result] = field(default_factory=dict)

    def claim(self, positions: Sequence[int] | None) -> list[Learner]:
        """Return the learners at ``positions``, or all."""
        return [learner for learner in self.learners if positions is None or learner.position in positions]

    def record(self, results: Sequence[Result]) -> None:
        """Keep the outcomes; those of a transaction that failed are overwritten when their learners run again."""
        self.results |= {result.learner.position: result for result in results}


def learners_of(mapping: Mapping[str, str]) -> list[Learner]:
    """Return the learners of a mapping."""
    return [
        Learner(position=n, external_user_key=key, lms_username=username)
        for n, (key, username) in enumerate(mapping.items())
    ]


def rehearsed_results(program_uuid: UUID, mapping: Mapping[str, str]) -> list[Result]:
    """Rehearse the whole mapping as one slice and return what the engine recorded of each learner."""
    ledger = MemoryLedger(learners_of(mapping))
    bulk.link_slice(program_uuid, ledger, dry_run=True)
    return [ledger.results[learner.position] for learner in ledger.learners]


def results_by_slices(program_uuid: UUID, mapping: Mapping[str, str], slice_size: int) -> list[Result]:
    """Run the engine slice by slice, as the worker does, and return what it recorded of each learner."""
    learners = learners_of(mapping)
    results: dict[int, Result] = {}
    for start in range(0, len(learners), slice_size):
        ledger = MemoryLedger(learners[start : start + slice_size])
        bulk.link_slice(program_uuid, ledger)
        results |= ledger.results
    return [results[learner.position] for learner in learners]
