"""The machine and the software versions of a measurement."""

import platform
from datetime import UTC, datetime
from pathlib import Path

import celery
import django
import psutil
import redis


def describe(database: str, broker_url: str) -> dict[str, str | int | float]:
    """Return the machine, the versions, among them that of the ``database``, and the current time."""
    broker: dict[str, str] = redis.Redis.from_url(broker_url).info("server")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(psutil.Process().cpu_affinity() or ()) or psutil.cpu_count() or 0,
        "cpu": _cpu(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "database": database,
        "redis": str(broker["redis_version"]),
        "django": django.get_version(),
        "celery": celery.__version__,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
