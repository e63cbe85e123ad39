"""Send a mapping by the task's name, wait for the callback in a queue of our own, and print the result."""

import json
import os
import sys

from celery import Celery

app = Celery(broker=os.environ["BROKER"])
program, mapping = json.loads(sys.argv[1])
app.send_task(
    "linking.link_program_enrollments", (program, mapping), link=app.signature("service.receive", queue="the-service")
)
with app.connection() as connection, connection.SimpleQueue("the-service") as queue:
    message = queue.get(timeout=60)
    message.ack()
sys.stdout.write(json.dumps(message.payload[0][0]) + "\n")
