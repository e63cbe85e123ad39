"""Digests of the rows of import files, and the buckets in which two files are compared.

A bucket holds the rows whose digests end in the same bits. Two files have the same rows in a bucket if they have the
same sum there: of a million rows with ten edits, only the rows of twenty buckets need to be compared one by one.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings

from linking.bulk import fold_key

Row = tuple[bytes, int]
"""The digests of a row: of its key, and of all of it."""
RowDigest = Callable[[str, str], int]
"""A function of key and username that returns the digest of a row of one program."""

BUCKETS = 1 << 14
"""Number of buckets: 61 rows in each of a million."""
SUMMED = (1 << 44) - 1
"""The bits of a digest that are summed, beside those of the bucket: a sum of half a million of them fits 64 bits."""
BUCKET = f"(row_digest & {BUCKETS - 1})"
"""The bucket of a row, in SQL."""
SUMS = f"SELECT {BUCKET}, SUM((row_digest >> 16) & {SUMMED})"
"""Begins a statement that returns the sum of each bucket; it ends with ``GROUP BY 1``."""
MAX_BUCKETS = 4_000
"""Most buckets that a condition names; if more differ, all rows are compared."""


def digests_of(program_uuid: UUID, external_user_key: str, lms_username: str) -> Row:
    """Return the digests of a row of a file.

    They are keyed with SECRET_KEY: who has the database alone cannot try names.
    """
    key = _begin(program_uuid)
    key.update(fold_key(external_user_key).encode())
    uuid = bytearray(key.digest())
    uuid[6], uuid[8] = uuid[6] & 0x0F | 0x40, uuid[8] & 0x3F | 0x80  # A random one's version and variant, for MariaDB.
    return bytes(uuid), row_digest_of(program_uuid)(external_user_key, lms_username)


def row_digest_of(program_uuid: UUID) -> RowDigest:
    """Return the function that digests rows of a program: the second of :func:`digests_of`."""
    begin = _begin(program_uuid).copy

    def row_digest(external_user_key: str, lms_username: str) -> int:
        row = begin()
        row.update(f"{fold_key(external_user_key)}\0{lms_username}".encode())
        return int.from_bytes(row.digest()[:8], signed=True)

    return row_digest


def _begin(program_uuid: UUID) -> Any:
    return hashlib.blake2b(program_uuid.bytes, key=_secret(settings.SECRET_KEY), digest_size=16)


@lru_cache(maxsize=1)
def _secret(secret_key: str) -> bytes:
    return hashlib.sha256(b"imported rows\0" + secret_key.encode()).digest()


def sum_buckets(row_digests: Iterable[int]) -> dict[int, int]:
    """Return the sum of each bucket that has rows, as :data:`SUMS` does."""
    sums: dict[int, int] = {}
    for digest in row_digests:
        bucket = digest & BUCKETS - 1
        sums[bucket] = sums.get(bucket, 0) + (digest >> 16 & SUMMED)
    return sums


def differing_buckets(sums: Mapping[int, int], others: Mapping[int, int]) -> list[int]:
    """Return the buckets whose sums differ."""
    return sorted(bucket for bucket in sums.keys() | others.keys() if sums.get(bucket) != others.get(bucket))


def is_in(buckets: Collection[int]) -> str:
    """Return a condition in SQL that the rows of some buckets meet, and others if there are many buckets."""
    if len(buckets) > MAX_BUCKETS:
        return "1 = 1"
    return f"{BUCKET} IN ({', '.join(map(str, buckets)) or 'NULL'})"
