# One image for worker, beat, Flower, web server and migration; docker-compose.yml shows how to run each.
FROM python:3.11-slim-bookworm AS build

RUN python -m venv --without-pip /opt/venv
# The driver of MySQL and MariaDB has no wheel for Linux: compiler and headers stay in this stage.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libmariadb-dev pkg-config
COPY requirements/mysql.txt /tmp/mysql.txt
RUN python -m pip --python /opt/venv/bin/python install \
    --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/mysql.txt
# A layer of its own, rebuilt only when the pins change. Wheels only.
COPY requirements/base.txt /tmp/requirements.txt
RUN python -m pip --python /opt/venv/bin/python install \
    --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r /tmp/requirements.txt


FROM python:3.11-slim-bookworm

# The library of that driver. The inbox belongs to the user, so that a new volume mounted there does, too.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libmariadb3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 linking \
    && useradd --uid 10001 --gid linking --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin linking \
    && install --directory --owner linking --group linking /inbox
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY manage.py celeryconfig.py flowerconfig.py ./
COPY linking linking
COPY worker worker
# Compiled at build time: the root file system is read-only in production. Readable, whatever the umask of the checkout.
RUN python -m compileall -q . && chmod -R a+rX .

ENV PATH=/opt/venv/bin:$PATH \
    DJANGO_SETTINGS_MODULE=worker.settings \
    LINKING_HEARTBEAT=/tmp/heartbeat \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001

# The worker touches its heartbeat every 2 s (worker/celery/application.py). `celery inspect ping` is answered by the
# same process, so it would show no more, and costs a second of CPU time.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD find "$LINKING_HEARTBEAT" -newermt "30 seconds ago" | grep -q .
CMD ["celery", "-A", "worker", "worker", "--concurrency", "2"]
