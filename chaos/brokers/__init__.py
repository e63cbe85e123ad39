"""The brokers that chaos runs on, by the name that ``--broker`` takes."""

from chaos.brokers.interface import Broker
from chaos.brokers.rabbitmq import RabbitMQ
from chaos.brokers.redis import Redis

BROKERS: dict[str, type[Broker]] = {"redis": Redis, "rabbitmq": RabbitMQ}
