"""``manage.py api_tokens``: create, list and revoke tokens of the HTTP API."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from worker.api_tokens.access import issue, revoke
from worker.api_tokens.models import ApiToken

SCOPES = ("submit", "read")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


class Command(BaseCommand):
    """Create, list and revoke tokens."""

    help = "Create, list and revoke tokens of the HTTP API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="a new token; prints its secret, which is shown only now")
        create.add_argument("name", help="the service that uses it")
        create.add_argument("--scope", action="append", choices=SCOPES, required=True, help="may be given twice")
        create.add_argument("--days", type=_positive, help="days until it expires (default: never)")
        create.add_argument(
            "--program", type=UUID, action="append", default=[], help="for this program only; may be repeated"
        )
        create.add_argument("--per-minute", type=_positive, default=600, help="most requests a minute (default 600)")
        actions.add_parser("list", help="all tokens, without their secrets")
        actions.add_parser("revoke", help="end a token, at once and for ever").add_argument("name")

    def handle(self, *_: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        if len(options["name"]) > ApiToken.MAX_NAME or ApiToken.objects.filter(name=options["name"]).exists():
            msg = f"a token's name is new and has at most {ApiToken.MAX_NAME} characters: choose another."
            raise CommandError(msg)
        token = ApiToken(
            name=options["name"],
            programs=[str(program) for program in options["program"]],
            requests_per_minute=options["per_minute"],
            expires=timezone.now() + timedelta(days=options["days"]) if options["days"] else None,
            **{f"can_{scope}": True for scope in options["scope"]},
        )
        self.stdout.write(issue(token))
        self.stderr.write("Store it now: it cannot be shown again.")

    def _list(self, _: dict[str, Any]) -> None:
        for token in ApiToken.objects.order_by("name"):
            expires = f", expires {token.expires:%Y-%m-%d}" if token.expires else ""
            used = f"last used {token.last_used:%Y-%m-%d %H:%M}" if token.last_used else "never used"
            programs = f", {len(token.programs)} programs" if token.programs else ""
            self.stdout.write(f"{token.name}: {token.state}, {'+'.join(token.scopes)}{programs}{expires}, {used}")

    def _revoke(self, options: dict[str, Any]) -> None:
        if not revoke(ApiToken.objects.filter(name=options["name"])):
            msg = f"there is no token {options['name']} that is not revoked: api_tokens list shows all."
            raise CommandError(msg)
        self.stdout.write(f"Token {options['name']} is revoked.")
