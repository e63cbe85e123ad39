"""What a worker checks and declares when it has connected to its broker, before it consumes a message."""

from typing import Any

from amqp.exceptions import PreconditionFailed
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection
from redis.exceptions import NoPermissionError

from worker.celery.queues import rabbitmq_queues


def prepare_broker(connection: Connection) -> None:
    """Refuse a Redis Cluster, and declare all queues on RabbitMQ.

    Raises:
        ImproperlyConfigured: the broker is a Redis Cluster, or has a queue of another type.
    """
    driver = connection.transport.driver_type
    if driver == "redis":
        refuse_cluster(connection)
    elif driver == "amqp":
        _declare_queues(connection)


def refuse_cluster(connection: Connection) -> None:
    """Raise an error if the broker is a node of a Redis Cluster.

    Raises:
        ImproperlyConfigured: it is one.
    """
    channel: Any = connection.default_channel
    with channel.conn_or_acquire() as client:
        try:
            info = client.info("cluster")
        except NoPermissionError:
            return  # A user who may not ask.
    if info.get("cluster_enabled"):
        msg = (
            "CELERY_BROKER_URL is a node of a Redis Cluster: Celery moves a message between keys in one transaction,"
            " which a cluster refuses for keys on different nodes. Use one Redis or Valkey server with replicas and"
            " Sentinels (sentinel://…, LINKING_SENTINEL_MASTER), or RabbitMQ with LINKING_QUEUE_TYPE=quorum."
        )
        raise ImproperlyConfigured(msg)


def _declare_queues(connection: Connection) -> None:
    for queue in rabbitmq_queues():
        channel: Any = connection.channel()
        try:
            queue(channel).declare()
        except PreconditionFailed as fault:
            msg = (
                f"RabbitMQ has the queue {queue.name} in another form than LINKING_QUEUE_TYPE="
                f"{settings.LINKING_QUEUE_TYPE} declares ({fault.reply_text}). Set LINKING_QUEUE to a new name and"
                f" LINKING_OLD_QUEUE={settings.LINKING_QUEUE} until the old queue is empty; or stop all workers,"
                f" delete the empty queue (rabbitmqctl delete_queue {queue.name}) and start them again; or keep its"
                " type with LINKING_QUEUE_TYPE."
            )
            raise ImproperlyConfigured(msg) from None
        else:
            channel.close()
