"""Signals wait while something is being started that must not be lost."""

import signal

import pytest

from devservers.process_guard import signals_held_back


def test_an_interrupt_waits_until_the_block_is_done() -> None:
    done = []

    def start() -> None:
        with signals_held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["started"]


def test_the_former_handlers_are_back_after_the_block() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with signals_held_back():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
