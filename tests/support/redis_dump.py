"""Everything that a Redis database holds, as one text."""

from contextlib import closing

import redis


def dump(url: str) -> str:
    """Return the keys and values of a Redis database."""
    with closing(redis.Redis.from_url(url)) as client:
        read = {
            b"string": client.get,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
            b"none": lambda _: None,  # It is gone: a lock, or an emptied queue.
            b"hash": client.hgetall,
        }
        return repr([(key, read[client.type(key)](key)) for key in client.scan_iter()])  # type: ignore[index] # asyncio's
