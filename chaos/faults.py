"""The faults of a round. Each function returns false if the fault is not possible at the moment."""

import random
import signal
import time
from collections.abc import Callable
from typing import Literal

from chaos import database_faults
from chaos.caller import LINK
from chaos.context import Context
from chaos.injection import Fault, inject_fault

LINES = {LINK: 70, "linking.link_learners": 60, "linking.finish_job": 60}
"""Tasks that are killed in the middle, and the maximum number of lines that they execute before."""
LEARNERS_PER_SINGLE = 50
"""Learners of the large job for each one of the burst that has one job."""
RECOVERY_TASKS = 6
"""Recovery tasks that are sent at once."""


def kill_child(context: Context) -> bool:
    """Kill a pool child."""
    environment = context.environment
    return environment.kill_child(context.random.choice(environment.workers), context.random.randrange(2))


def kill_worker(context: Context) -> bool:
    """Kill a worker and its children."""
    environment = context.environment
    return environment.signal_group(context.random.choice(environment.workers), signal.SIGKILL)


def kill_beat(context: Context) -> bool:
    """Kill beat."""
    return context.environment.signal_group(context.environment.beat, signal.SIGKILL)


def stop_worker(context: Context) -> bool:
    """Stop a worker (SIGSTOP) until its leases have expired, then continue it."""
    environment = context.environment
    worker = context.random.choice(environment.workers)
    if not environment.signal_group(worker, signal.SIGSTOP):
        return False
    seconds = context.stall_after * context.random.uniform(1.2, 2)
    context.run_later(seconds, environment.signal_group, worker, signal.SIGCONT)
    return True


def pause_broker(context: Context) -> bool:
    """Freeze the broker for a while."""
    context.environment.broker.pause(context.random.uniform(0.3, 3))
    return True


def cut_from_broker(context: Context) -> bool:
    """Cut all connections of workers and beat to the broker."""
    context.environment.broker_proxy.cut_all()
    return True


def kill_broker(context: Context) -> bool:
    """Kill the broker and start it again, with its messages if it keeps them."""
    if not context.environment.broker.keeps_messages:
        return empty_broker(context)
    _restart_broker(context)
    return True


def empty_broker(context: Context) -> bool:
    """Kill the broker and start it again, empty."""
    if not context.in_ledger:
        return False
    began = time.time()
    _restart_broker(context, empty=True)
    context.losses.append((began, time.time()))
    return True


def _restart_broker(context: Context, *, empty: bool = False) -> None:
    broker = context.environment.broker
    broker.server.kill()
    if empty:
        broker.empty()
    time.sleep(context.random.choice((0, 0, 1.5)))
    broker.server.start()
    broker.wait_for_workers()


def repeat_message(context: Context) -> bool:
    """Deliver a message twice."""
    return context.environment.broker.deliver_twice(context.random)


def repeat_request(context: Context) -> bool:
    """Send the request again with the same task id."""
    context.caller.send(context.request)
    return True


def send_burst(context: Context) -> bool:
    """Send small jobs: 500 beside a large one of 20,000 learners."""
    context.small_jobs.add_burst(len(context.request.mapping) // LEARNERS_PER_SINGLE)
    return True


def send_unsendable(context: Context) -> bool:
    """Send a job with a callback that cannot be sent."""
    context.small_jobs.add_unsendable(context.random)
    return True


def send_deadly(context: Context) -> bool:
    """Send a request that ends its worker each time."""
    context.small_jobs.add_deadly()
    return True


def run_recovery(context: Context) -> bool:
    """Run several recovery tasks at once."""
    for _ in range(RECOVERY_TASKS):
        context.caller.send_recovery()
    return True


def inject_kill(context: Context, task: str) -> None:
    """Kill the pool child or the worker that runs ``task`` next, after a random number of lines."""
    actions: tuple[Literal["kill_child", "kill_worker"], ...] = ("kill_child", "kill_child", "kill_worker")
    action = context.random.choice(actions)
    fault = Fault(line=context.random.randint(1, LINES[task]), action=action)
    inject_fault(context.environment.faults, task, fault)


def kill_slice(context: Context) -> bool:
    """Kill the task of a slice."""
    inject_kill(context, "linking.link_learners")
    return True


def kill_fan_out(context: Context) -> bool:
    """Send the request again and kill its task."""
    inject_kill(context, LINK)
    context.caller.send(context.request)
    return True


IMMEDIATE: dict[str, Callable[[Context], bool]] = {
    "pool child killed": kill_child,
    "worker killed": kill_worker,
    "worker stopped past its lease": stop_worker,
    "beat killed": kill_beat,
    "broker paused": pause_broker,
    "broker killed": kill_broker,
    "broker restarted empty": empty_broker,
    "connections to the broker cut": cut_from_broker,
    **database_faults.FAULTS,
    "message delivered twice": repeat_message,
    "request sent twice": repeat_request,
    "six recovery tasks at once": run_recovery,
    "burst of small jobs": send_burst,
    "callback that cannot be sent": send_unsendable,
    "request that ends its worker": send_deadly,
}
"""Faults that happen when their function is called, by name."""
ONCE = {send_burst, send_unsendable, send_deadly}
"""Faults that a round has once at most."""
INJECTED: tuple[Callable[[Context], bool], ...] = (kill_slice, kill_fan_out)
"""Faults that happen when a worker reaches a line."""
INJECTED_NAMES = {
    LINK: "fan-out killed at a line",
    "linking.link_learners": "slice killed at a line",
    "linking.finish_job": "end of the job killed at a line",
}
"""Names of injected faults, by task."""


def choose_faults(choice: random.Random, size: int) -> list[Callable[[Context], bool]]:
    """Return ``size`` faults in random order, with each kind at least once if ``size`` allows."""
    kinds = [*IMMEDIATE.values(), *INJECTED]
    repeated = [kind for kind in kinds if kind not in ONCE]
    faults = [*kinds, *choice.choices(repeated, k=max(0, size - len(kinds)))]
    choice.shuffle(faults)
    return faults[:size]
