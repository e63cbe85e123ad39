"""``manage.py dead_letters``: messages that RabbitMQ gave up."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from worker.celery.dead_letters import are_kept, list_dead_letters, resend_dead_letters


class Command(BaseCommand):
    """Lists the dead letters of RabbitMQ's quorum queues, or sends them again."""

    help = "List the messages that RabbitMQ gave up (task, id, queue, reason), or send them to their queues again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--resend", action="store_true", help="send them again, after the cause is removed")

    def handle(self, *_: Any, resend: bool, **__: Any) -> None:
        if not are_kept():
            self.stdout.write("There are no dead letters: only quorum queues of RabbitMQ have them.")
            return
        try:
            letters = resend_dead_letters() if resend else list_dead_letters()
        except Exception as error:  # noqa: BLE001 - kombu raises many
            msg = f"RabbitMQ does not answer, or no worker has declared the queue yet ({type(error).__name__})."
            raise CommandError(msg) from None
        for letter in letters:
            self.stdout.write(f"{letter.task} {letter.task_id} from {letter.queue}: {letter.reason}")
        self.stdout.write(f"{len(letters)} dead letters{' were sent again' if resend else ''}.")
