"""The settings of all rounds."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of all rounds.

    Attributes:
        faults: number of faults per round.
        stall_after: LINKING_STALL_AFTER in seconds.
        lock_timeout: LINKING_LOCK_TIMEOUT in seconds.
        visibility_timeout: visibility timeout of the broker in seconds.
        hang_after: seconds without fault and progress after which a job counts as hanging.
        env: environment variables of workers and beat.
    """

    faults: int
    stall_after: float
    lock_timeout: float
    visibility_timeout: float
    hang_after: float
    env: Mapping[str, str]
