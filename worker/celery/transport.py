"""The Redis transport: an entry of a list or channel that is no message is logged and dropped.

kombu trusts all that it reads from Redis: a single entry that is not JSON, or JSON of another form, ends every worker
that receives it (celery/celery#7975; celery/kombu#2421 is the same on SQS).
"""

import logging
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

log = logging.getLogger(__name__)


class MessagesOnly:
    """Part of a channel that passes on only messages."""

    _shared_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return a client; the same one for all commands that block, where kombu makes one for each."""
        shared = self._shared_client
        # The channel of a connection that is lost has no pool and can make none, which would end the worker
        # (celery/kombu#582); its client connects again.
        if not asynchronous and shared is not None and self._pool in {None, shared.connection_pool}:  # type: ignore[attr-defined]
            return shared
        client = super()._create_client(asynchronous)  # type: ignore[misc] # of kombu's channel
        client.set_response_callback("BRPOP", self._drop_unless_message)
        if not asynchronous:
            self._shared_client = client
        return client

    def _drop_unless_message(self, response: Any, **_: Any) -> Any:
        """Return the list and the entry that Redis sent, or None, as at a timeout, if the entry is no message."""
        if not response:
            return None
        name, entry = response
        try:
            _check(loads(bytes_to_str(entry)), self)
        except Exception as fault:  # noqa: BLE001 - decoders raise many
            # Only the type: the text of an error may quote the entry, which may name learners.
            text = "an entry of %s bytes in the list %s is no message (%s): it is dropped"
            log.error(text, f"{len(entry):,}", ascii(name.decode(errors="replace")), type(fault).__name__)  # noqa: TRY400
            return None
        return name, entry

    def _receive_one(self, client: Any) -> Any:
        """Receive an event or a control command; drop one that cannot be decoded or processed."""
        try:
            return super()._receive_one(client)  # type: ignore[misc] # of kombu's channel
        except Empty:
            return False  # Raised after what was read before would have been left in the buffer.
        except Exception as fault:
            # kombu counts a KeyError among the errors of a connection.
            if isinstance(fault, self.connection_errors) and not isinstance(fault, KeyError):  # type: ignore[attr-defined]
                raise
            log.warning("an event or control command is malformed (%s): it is dropped", type(fault).__name__)
            return True


class Channel(MessagesOnly, redis.Channel):
    """A channel to Redis."""


class SentinelChannel(MessagesOnly, redis.SentinelChannel):
    """A channel to a Redis that Sentinels name."""


class Transport(redis.Transport):
    """The transport of ``redis://`` and ``rediss://``."""

    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    """The transport of ``sentinel://``."""

    Channel = SentinelChannel


def register() -> None:
    """Use these transports in this process: with a broker's URL, kombu has no setting for a transport."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"


def _check(payload: Any, channel: Any) -> None:
    """Raise an exception if an entry has not the form that kombu and Celery rely on; the consumer checks the body."""
    properties = payload["properties"]
    delivery = properties["delivery_info"]
    texts = (properties["delivery_tag"], delivery["exchange"], delivery["routing_key"], payload["body"])
    types = (payload.get("content-type"), payload.get("content-encoding"))
    if not (all(isinstance(text, str) for text in texts) and isinstance(payload["headers"], dict)):
        raise TypeError
    if not all(isinstance(kind, str | None) for kind in types):
        raise TypeError
    channel.decode_body(payload["body"], properties.get("body_encoding"))
