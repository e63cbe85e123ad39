"""What a caller may ask for: the arguments of ``linking.link_program_enrollments``, checked before the first write."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.conf import settings

from linking.bulk import Learner, check_mapping, is_storable

POSITIONAL = ("program_uuid", "external_keys_to_usernames")
KEYWORD_ONLY = ("idempotency_key", "dry_run", "max_relinks", "learners_per_subtask")
OF_UNDO = ("job_id", "dry_run")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequest:
    """A mapping to link, and how.

    Attributes:
        learners: in mapping order, read once; a query of learners in the ledger is copied from there, and not read.
        total: how many they are.
        digest: a fingerprint of program, learners and options: what an idempotency key stands for.
        idempotency_key: calls with the same key are one job.
        dry_run: find out what would happen, change nothing.
        max_relinks: learners whose enrollment may change hands, a count or ``N%`` of the mapping; None: any number.
        learners_per_subtask: size of the slices; None: as the settings say.
    """

    program_uuid: UUID
    learners: Iterable[Learner]
    total: int
    digest: str
    idempotency_key: str | None = None
    dry_run: bool = False
    max_relinks: int | str | None = None
    learners_per_subtask: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the ledger keeps of the order beside the learners."""
        return {
            "dry_run": self.dry_run,
            "max_relinks": self.max_relinks,
            "learners_per_subtask": self.learners_per_subtask,
        }

    @property
    def allowed_relinks(self) -> int | None:
        """``max_relinks`` as a count."""
        return allowed_relinks(self.max_relinks, self.total)


def allowed_relinks(max_relinks: int | str | None, total: int) -> int | None:
    """Return ``max_relinks`` of a job with ``total`` learners as a count; a percentage is rounded down."""
    if isinstance(max_relinks, str):
        return int(max_relinks.removesuffix("%")) * total // 100
    return max_relinks


def parse_link_request(args: Sequence[Any], kwargs: Mapping[str, Any]) -> LinkRequest:
    """Return the order that the arguments of a message make.

    Raises:
        ValueError: what is wrong, where, and how to mend it. An entry is told by its place, never by who is in it.
    """
    given = _name_arguments(args, kwargs, POSITIONAL, KEYWORD_ONLY, needed=POSITIONAL)
    program_uuid, learners = check_mapping(given.pop("program_uuid"), given.pop("external_keys_to_usernames"))
    if len(learners) > settings.LINKING_MAX_MAPPING:
        msg = (
            f"external_keys_to_usernames has {len(learners):,} entries, more than LINKING_MAX_MAPPING"
            f" ({settings.LINKING_MAX_MAPPING:,}): send it as several jobs, or import it as a file."
        )
        raise ValueError(msg)
    for learner in learners:
        _check_storable(learner)
    order = LinkRequest(program_uuid=program_uuid, learners=learners, total=len(learners), digest="", **given)
    validate_options(order)
    pairs = [(learner.external_user_key, learner.lms_username) for learner in learners]
    text = json.dumps([str(program_uuid), pairs, order.options])
    return replace(order, digest=hashlib.sha256(text.encode()).hexdigest())


def parse_undo_request(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[UUID, bool]:
    """Return which job the arguments of a message ask to undo, and whether that is a dry run.

    Raises:
        ValueError: what is wrong, and how to mend it.
    """
    given = _name_arguments(args, kwargs, OF_UNDO, (), needed=OF_UNDO[:1])
    job_id, dry_run = given["job_id"], given.get("dry_run", False)
    if not isinstance(dry_run, bool):
        msg = f"dry_run={_told(dry_run)}: expected true or false."
        raise ValueError(msg)
    try:
        return UUID(job_id), dry_run
    except (AttributeError, TypeError, ValueError):
        msg = f"job_id={_told(job_id)} is not a UUID: expected the id of a job, which is the task id of its caller."
        raise ValueError(msg) from None


def _name_arguments(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    positional: Sequence[str],
    keyword_only: Sequence[str],
    *,
    needed: Sequence[str],
) -> dict[str, Any]:
    if len(args) > len(positional):
        msg = f"{len(args)} positional arguments given, at most {len(positional)} taken: {', '.join(positional)}."
        raise ValueError(msg)
    given = dict(zip(positional, args, strict=False))
    if twice := sorted(given.keys() & kwargs.keys()):
        msg = f"{', '.join(twice)} given twice, by place and by name: give each once."
        raise ValueError(msg)
    given |= kwargs
    # Looked for first: where the mapping itself came as the keyword arguments, the unknown ones are external user keys.
    if missing := [name for name in needed if name not in given]:
        both = f"both {' and '.join(needed)} are" if len(needed) > 1 else "it is"
        msg = f"{' and '.join(missing)} not given: {both} needed."
        raise ValueError(msg)
    if unknown := sorted(given.keys() - {*positional, *keyword_only}):
        known = ", ".join((*positional, *keyword_only))
        msg = f"unknown argument {', '.join(map(repr, unknown))}: known are {known}."
        raise ValueError(msg)
    return given


def _told(value: object) -> str:
    """Return what an error text may say of a value: of a list or mapping, which may hold learners, its type only."""
    return repr(value) if value is None or isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _check_storable(learner: Learner) -> None:
    for name, value in (("external user key", learner.external_user_key), ("LMS username", learner.lms_username)):
        if not is_storable(value):
            msg = (
                f"entry {learner.position + 1} of external_keys_to_usernames: its {name} holds a NUL character or half"
                " of a surrogate pair, which no database can store; remove it."
            )
            raise ValueError(msg)


def validate_options(order: LinkRequest) -> None:
    """Check how an order is to be linked.

    Raises:
        ValueError: what is wrong, and what is expected.
    """
    key, size, relinks = order.idempotency_key, order.learners_per_subtask, order.max_relinks
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= 255 and is_storable(key)):  # noqa: PLR2004 - the column's
        msg = f"idempotency_key={_told(key)}: expected a text of 1 to 255 characters without NUL, or None."
        raise ValueError(msg)
    if not isinstance(order.dry_run, bool):
        msg = f"dry_run={_told(order.dry_run)}: expected true or false."
        raise ValueError(msg)
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        msg = f"learners_per_subtask={_told(size)}: expected a whole number from 1, or None."
        raise ValueError(msg)
    if isinstance(relinks, str):
        valid = bool(re.fullmatch(r"[0-9]{1,3}%", relinks)) and int(relinks[:-1]) <= 100  # noqa: PLR2004 - percent
    else:
        valid = relinks is None or (isinstance(relinks, int) and not isinstance(relinks, bool) and relinks >= 0)
    if not valid:
        msg = f"max_relinks={_told(relinks)}: expected a whole number from 0, a percentage such as '5%', or None."
        raise ValueError(msg)
