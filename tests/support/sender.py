"""Messages that no Celery client would send."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import redis

from tests.support.broker import TASKS


class Sender:
    """Sends arbitrary bodies to the tasks' queue, as a program without Celery could."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)

    def send(self, body: bytes, headers: Mapping[str, Any], content_type: str = "application/json") -> None:
        """Send a message with a body and headers."""
        tag = str(uuid4())
        properties = {
            "correlation_id": tag,
            "delivery_mode": 2,
            "delivery_tag": tag,
            "delivery_info": {"exchange": "", "routing_key": TASKS},
            "priority": 0,
            "body_encoding": "base64",
        }
        envelope = {
            "body": base64.b64encode(body).decode(),
            "content-type": content_type,
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": properties,
        }
        self._client.lpush(TASKS, json.dumps(envelope))
