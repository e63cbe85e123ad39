"""The faults: what the monkey can do, each once at a time."""

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.broker import LINK, Caller, deliver_twice, pause_clients
from chaos.environment import Stage
from chaos.injection import FaultOrder, give_order

LINES = {LINK: 70, "linking.link_learners": 60, "linking.finish_job": 60}
"""Tasks that die in their middle, and lines among which the last one is chosen."""
SWEEPERS = 6
"""Sweepers that look at once."""


@dataclass(slots=True)
class Scene:
    """What a fault has at hand.

    Attributes:
        stall_after: seconds, as the workers have it.
        in_ledger: whether the ledger knows of the job. Until then the broker alone does: what it loses is lost.
    """

    stage: Stage
    caller: Caller
    random: random.Random
    stall_after: float
    in_ledger: bool = False
    thaws: list[threading.Timer] = field(default_factory=list)


def kill_child(scene: Scene) -> bool:
    """SIGKILL a pool child."""
    return scene.stage.kill_child(scene.random.choice(scene.stage.workers), scene.random.randrange(2))


def kill_worker(scene: Scene) -> bool:
    """SIGKILL a worker with all its children."""
    return scene.stage.signal_group(scene.random.choice(scene.stage.workers), signal.SIGKILL)


def kill_beat(scene: Scene) -> bool:
    """SIGKILL beat."""
    return scene.stage.signal_group(scene.stage.beat, signal.SIGKILL)


def freeze_worker(scene: Scene) -> bool:
    """SIGSTOP a worker past its lease, then SIGCONT."""
    worker = scene.random.choice(scene.stage.workers)
    if not scene.stage.signal_group(worker, signal.SIGSTOP):
        return False
    thaw = threading.Timer(
        scene.stall_after * scene.random.uniform(1.2, 2), scene.stage.signal_group, (worker, signal.SIGCONT)
    )
    thaw.start()
    scene.thaws.append(thaw)
    return True


def pause_redis(scene: Scene) -> bool:
    """CLIENT PAUSE."""
    pause_clients(scene.stage.redis.url, scene.random.uniform(0.3, 3))
    return True


def empty_redis(scene: Scene) -> bool:
    """Redis ends and comes back empty."""
    if not scene.in_ledger:
        return False
    scene.stage.redis.kill()
    time.sleep(scene.random.choice((0, 0, 1.5)))
    scene.stage.redis.start()
    return True


def stop_postgres(scene: Scene) -> bool:
    """PostgreSQL is restarted as an operator does."""
    scene.stage.postgres.stop()
    time.sleep(scene.random.choice((0, 0, 1.5)))
    scene.stage.postgres.start()
    return True


def kill_postgres(scene: Scene) -> bool:
    """PostgreSQL is killed and recovers."""
    scene.stage.postgres.kill()
    time.sleep(scene.random.choice((0, 0, 1.5)))
    scene.stage.postgres.start()
    return True


def repeat_message(scene: Scene) -> bool:
    """A message is delivered twice."""
    return deliver_twice(scene.stage.redis.url, scene.random)


def repeat_request(scene: Scene) -> bool:
    """The caller's message is sent again, under the same id."""
    scene.caller.ask()
    return True


def sweep_at_once(scene: Scene) -> bool:
    """Many sweepers at once."""
    for _ in range(SWEEPERS):
        scene.caller.sweep()
    return True


def order_death(scene: Scene, task: str) -> None:
    """FaultOrder the death of whoever runs ``task`` next, at some line."""
    act = scene.random.choice(("child", "child", "worker"))
    give_order(scene.stage.orders, task, FaultOrder(line=scene.random.randint(1, LINES[task]), act=act))


def kill_slice(scene: Scene) -> bool:
    """A slice's task dies at some line."""
    order_death(scene, "linking.link_learners")
    return True


def kill_fan_out(scene: Scene) -> bool:
    """The caller's message comes again and dies at some line."""
    order_death(scene, LINK)
    scene.caller.ask()
    return True


FAULTS: dict[str, Callable[[Scene], bool]] = {
    "pool child killed": kill_child,
    "worker killed": kill_worker,
    "worker stopped past its lease": freeze_worker,
    "beat killed": kill_beat,
    "Redis paused": pause_redis,
    "Redis restarted empty": empty_redis,
    "PostgreSQL restarted": stop_postgres,
    "PostgreSQL killed": kill_postgres,
    "message delivered twice": repeat_message,
    "request sent twice": repeat_request,
    "six sweepers at once": sweep_at_once,
}
"""Struck the moment they are called."""
ORDERED: dict[str, Callable[[Scene], bool]] = {
    "linking.link_learners": kill_slice,
    LINK: kill_fan_out,
}
"""Struck when a worker comes to the line; by task."""
NAMES = {
    LINK: "fan-out killed at a line",
    "linking.link_learners": "slice killed at a line",
    "linking.finish_job": "end of the job killed at a line",
}
"""What the ordered deaths are called in the table, by task."""


def deck(choice: random.Random, size: int) -> list[Callable[[Scene], bool]]:
    """Return ``size`` faults in random order: every kind once, if there is room, then whatever comes."""
    kinds = [*FAULTS.values(), *ORDERED.values()]
    cards = [*kinds, *choice.choices(kinds, k=max(0, size - len(kinds)))]
    choice.shuffle(cards)
    return cards[:size]
