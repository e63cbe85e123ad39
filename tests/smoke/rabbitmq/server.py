"""A direct view of RabbitMQ."""

from contextlib import closing
from typing import Any

from amqp import Connection


def is_up(address: str) -> bool:
    try:
        connect(address).close()
    except OSError:
        return False
    return True


def connect(address: str) -> Connection:
    connection = Connection(address, connect_timeout=5)
    connection.connect()
    return connection


def length(address: str, queue: str) -> int:
    with closing(connect(address)) as connection:
        declared: Any = connection.channel().queue_declare(queue, passive=True)
        return int(declared.message_count)
