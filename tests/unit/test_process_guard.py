"""Signals are deferred while a process is started and registered."""

import signal

import pytest

from devservers.process_guard import signals_deferred


def test_an_interrupt_is_deferred_to_the_end_of_the_block() -> None:
    done = []

    def start() -> None:
        with signals_deferred():
            signal.raise_signal(signal.SIGINT)
            done.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["started"]


def test_the_handlers_are_restored_after_the_block() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with signals_deferred():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
