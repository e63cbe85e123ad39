"""Random small worlds full of collisions: as values, as rows, and as a snapshot of every row."""

from tests.worlds.kinds import interferences
from tests.worlds.rows import Snapshot, build, clear, snapshot
from tests.worlds.strategies import worlds
from tests.worlds.values import World

__all__ = ("Snapshot", "World", "build", "clear", "interferences", "snapshot", "worlds")
