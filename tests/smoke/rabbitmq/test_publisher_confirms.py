"""A message that RabbitMQ has not confirmed was not sent: its sender sends it again, or raises."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.smoke.rabbitmq.server import connect, length
from tests.support.proxy import proxy_of
from tests.support.waiting import wait_until

SEND = """
import sys
import django
django.setup()
from worker.celery.application import app
for line in sys.stdin:
    try:
        app.send_task("service.receive", queue="answers")
    except Exception as error:
        print(type(error).__name__, flush=True)
    else:
        print("sent", flush=True)
"""
MOST = 3
"""Messages that the full queue takes."""


class Sender:
    """Our application in a process of its own: it sends a message on demand."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout

    def begin(self) -> None:
        """Send a message, without waiting for the outcome."""
        self._input.write("\n")
        self._input.flush()

    def outcome(self) -> str:
        """Wait for the outcome: ``sent``, or the name of an exception."""
        return self._output.readline().strip()

    def send(self) -> str:
        self.begin()
        return self.outcome()


@contextmanager
def sender(port: int, database_url: str) -> Iterator[Sender]:
    env = {
        **os.environ,
        "CELERY_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}//",
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "worker.settings",
        "LINKING_QUEUE_TYPE": "quorum",
    }
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", SEND], env=env, stdin=pipe, stdout=pipe, text=True) as process:
        yield Sender(process)


@pytest.mark.parametrize(("comes_back", "outcome", "left"), [(True, "sent", 2), (False, "OperationalError", 1)])
def test_a_message_that_was_lost_with_its_connection_is_sent_again_or_raises(
    address: str, database_url: str, *, comes_back: bool, outcome: str, left: int
) -> None:
    port = int(address.partition(":")[2])
    with proxy_of(port) as proxy, sender(proxy.port, database_url) as client:
        assert client.send() == "sent"
        proxy.swallows.set()
        client.begin()
        wait_until(proxy.swallowed.is_set, "the message is on its way, and lost")
        if not comes_back:
            proxy.close()
        proxy.swallows.clear()
        proxy.cut()

        assert client.outcome() == outcome
    assert length(address, "answers") == left


def test_a_message_that_rabbitmq_refuses_raises(address: str, database_url: str) -> None:
    with sender(int(address.partition(":")[2]), database_url) as client:
        assert client.send() == "sent"
        with closing(connect(address)) as connection:
            channel = connection.channel()
            channel.queue_delete("answers")
            arguments = {"x-queue-type": "quorum", "x-max-length": MOST, "x-overflow": "reject-publish"}
            channel.queue_declare("answers", durable=True, auto_delete=False, arguments=arguments)

        outcomes = [client.send() for _ in range(2 * MOST)]

    assert len(set(outcomes)) == 2, outcomes  # Sent, and the error.
    assert length(address, "answers") == outcomes.count("sent")
