"""Random small worlds full of collisions: as values, as rows, and as a snapshot of every row."""

from tests.support.worlds.kinds import interferences
from tests.support.worlds.rows import Snapshot, build, clear, snapshot
from tests.support.worlds.strategies import worlds
from tests.support.worlds.values import World

__all__ = ("Snapshot", "World", "build", "clear", "interferences", "snapshot", "worlds")
