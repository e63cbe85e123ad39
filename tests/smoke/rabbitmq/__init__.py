"""Tests on RabbitMQ 4, in a container, with quorum queues."""
