"""The request to link a mapping, parsed and checked before the first write."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.conf import settings

from linking.bulk import Learner, check_mapping, is_storable
from worker import relink_limit

MAX_KEY = 255
"""Characters of an idempotency key, at most: the width of its column."""


def _is_key(value: Any) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value) <= MAX_KEY and is_storable(value))


OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "idempotency_key": (_is_key, f"a text of 1 to {MAX_KEY} characters without NUL, or None"),
    "dry_run": (lambda value: isinstance(value, bool), "true or false"),
    "max_relinks": (relink_limit.is_relink_limit, relink_limit.EXPECTED),
    "learners_per_subtask": (
        lambda value: value is None or (type(value) is int and value >= 1),
        "a whole number from 1, or None",
    ),
}
"""The options of a request: a check of the value, and what it expects."""
POSITIONAL = ("program_uuid", "external_keys_to_usernames")
KEYWORD_ONLY = tuple(OPTIONS)
UNDO_ARGUMENTS = ("job_id", "dry_run")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequest:
    """A mapping to link, and how; the options are those of docs/contract.md."""

    program_uuid: UUID
    learners: Iterable[Learner]  # In mapping order, iterated once; a queryset of the ledger is copied in the database.
    total: int  # Number of learners.
    digest: str  # SHA-256 of program, learners and options: an idempotency key stands for one digest.
    idempotency_key: str | None = None
    dry_run: bool = False
    max_relinks: int | str | None = None
    learners_per_subtask: int | None = None
    skipped: int | None = None  # Rows of an imported file that its job leaves out, if the file's rows are recorded.

    @property
    def options(self) -> dict[str, Any]:
        """The options that the ledger keeps in JSON."""
        options = {name: getattr(self, name) for name in ("dry_run", "max_relinks", "learners_per_subtask")}
        return options if self.skipped is None else {**options, "skipped": self.skipped}


def digest_of(*content: Any) -> str:
    """Return the digest of a request's content, which must be JSON."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def parse_link_request(args: Sequence[Any], kwargs: Mapping[str, Any]) -> LinkRequest:
    """Return the request in a message's arguments.

    Raises:
        ValueError: an argument is invalid. The message names its place and the remedy, but no learner.
    """
    given = name_arguments(args, kwargs, POSITIONAL, KEYWORD_ONLY, required=POSITIONAL)
    program_uuid, learners = check_mapping(given.pop("program_uuid"), given.pop("external_keys_to_usernames"))
    if len(learners) > settings.LINKING_MAX_MAPPING:
        msg = (
            f"external_keys_to_usernames has {len(learners):,} entries, more than LINKING_MAX_MAPPING"
            f" ({settings.LINKING_MAX_MAPPING:,}): send it as several jobs, or import it as a file."
        )
        raise ValueError(msg)
    learners = _clean(learners)
    _check_options(given)
    request = LinkRequest(program_uuid=program_uuid, learners=learners, total=len(learners), digest="", **given)
    pairs = [(learner.external_user_key, learner.lms_username) for learner in learners]
    return replace(request, digest=digest_of(str(program_uuid), pairs, request.options))


def parse_undo_request(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[UUID, bool]:
    """Return the job to undo, and whether as a dry run, from a message's arguments.

    Raises:
        ValueError: an argument is invalid.
    """
    given = name_arguments(args, kwargs, UNDO_ARGUMENTS, required=UNDO_ARGUMENTS[:1])
    _check_options(given)
    job_id = given["job_id"]
    try:
        return UUID(job_id), given.get("dry_run", False)
    except (AttributeError, TypeError, ValueError):
        msg = f"job_id={_shown(job_id)} is not a UUID: expected the id of a job, which is the task id of its caller."
        raise ValueError(msg) from None


def name_arguments(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    positional: Sequence[str],
    keyword_only: Sequence[str] = (),
    *,
    required: Sequence[str],
) -> dict[str, Any]:
    """Return the arguments by name."""
    if len(args) > len(positional):
        msg = f"{len(args)} positional arguments given, at most {len(positional)} taken: {', '.join(positional)}."
        raise ValueError(msg)
    given = dict(zip(positional, args, strict=False))
    if twice := sorted(given.keys() & kwargs.keys()):
        msg = f"{', '.join(twice)} given twice, by place and by name: give each once."
        raise ValueError(msg)
    given |= kwargs
    # Before unknown ones: if the mapping itself was sent as keyword arguments, their names are external user keys.
    if missing := [name for name in required if name not in given]:
        both = f"both {' and '.join(required)} are" if len(required) > 1 else "it is"
        msg = f"{' and '.join(missing)} not given: {both} needed."
        raise ValueError(msg)
    known = (*positional, *keyword_only)
    if unknown := sorted(given.keys() - set(known)):
        msg = f"unknown argument {', '.join(map(repr, unknown))}: known are {', '.join(known)}."
        raise ValueError(msg)
    return given


def _check_options(given: Mapping[str, Any]) -> None:
    for name, (is_valid, expected) in OPTIONS.items():
        if name in given and not is_valid(given[name]):
            msg = f"{name}={_shown(given[name])}: expected {expected}."
            raise ValueError(msg)


def _shown(value: object) -> str:
    """Return a value for an error text: of a list or mapping, which may hold learners, only the type."""
    return repr(value) if value is None or isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _clean(learners: Sequence[Learner]) -> list[Learner]:
    """Return learners with no white space around key and username.

    Raises:
        ValueError: a key or username is empty then, or cannot be stored, or two keys are the same then.
    """
    cleaned = []
    entries: dict[str, int] = {}  # Number of the entry by key.
    for entry, learner in enumerate(learners, start=1):
        key, username = learner.external_user_key.strip(), learner.lms_username.strip()
        for name, value in (("external user key", key), ("LMS username", username)):
            if fault := _fault_of(value):
                msg = f"entry {entry} of external_keys_to_usernames: its {name} {fault}"
                raise ValueError(msg)
        if (first := entries.setdefault(key, entry)) != entry:
            msg = (
                f"entries {first} and {entry} of external_keys_to_usernames have the same external user key but for the"
                " white space around it, which is removed: keep one of them."
            )
            raise ValueError(msg)
        same = key == learner.external_user_key and username == learner.lms_username
        cleaned.append(learner if same else replace(learner, external_user_key=key, lms_username=username))
    return cleaned


def _fault_of(value: str) -> str:
    if not value:
        return "is empty, or white space only: give each entry both."
    if not is_storable(value):
        return "holds a NUL character or half of a surrogate pair, which no database can store; remove it."
    return ""
