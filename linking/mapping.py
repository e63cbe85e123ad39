"""Checks and queries on a whole mapping before the first learner is linked.

The queries take the mapping as SQL with its parameters: a query of ``position``, ``external_user_key`` and
``lms_username``. The database answers them, so that a million learners need no more memory here than a thousand.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from linking import messages
from linking.engine.interference import group
from linking.keys import fold_key
from linking.outcomes import Learner
from linking.sql import dialect, folded
from linking.sql.interface import Statement
from linking.sql.statements import fetch, user_table


def check_mapping(program_uuid: object, external_keys_to_usernames: object) -> tuple[UUID, list[Learner]]:
    """Return the program's UUID and the learners of a mapping.

    Raises:
        ValueError: as for :func:`link_program_enrollments`. The text names the place of an entry, not its learner.
    """
    if not isinstance(program_uuid, UUID | str):
        # The type alone: the value may be the mapping, in the wrong place.
        msg = f"program_uuid is {_kind(program_uuid)}: expected a UUID or its string."
        raise ValueError(msg)
    try:
        program = UUID(str(program_uuid))
    except ValueError:
        msg = f"program_uuid={program_uuid!r} is not a UUID: expected 32 hexadecimal digits, with or without hyphens."
        raise ValueError(msg) from None
    if not isinstance(external_keys_to_usernames, Mapping):
        msg = (
            f"external_keys_to_usernames is a {type(external_keys_to_usernames).__name__}:"
            " expected a mapping of external user key to LMS username."
        )
        raise ValueError(msg)
    learners = []
    for position, (key, username) in enumerate(external_keys_to_usernames.items()):
        for name, value in (("external user key", key), ("LMS username", username)):
            if not isinstance(value, str):
                place = f"entry {position + 1} of external_keys_to_usernames"
                msg = f"{place}: its {name} is {_kind(value)}, expected a string."
                raise ValueError(msg)
        learners.append(Learner(position=position, external_user_key=key, lms_username=username))
    return program, learners


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def warn_of_same_keys(learners: Iterable[Learner]) -> list[Learner]:
    """Return learners, given in mapping order, with a warning for those whose key another has in another case."""
    learners = list(learners)
    latest: dict[str, Learner] = {}  # By folded key.
    warnings: dict[int, list[str]] = defaultdict(list)  # By position.
    for learner in learners:
        key = fold_key(learner.external_user_key)
        if earlier := latest.get(key):
            for warned, other, place in ((learner, earlier, "before"), (earlier, learner, "after")):
                text = messages.SAME_KEY_TEMPLATE.format(
                    external_user_key=other.external_user_key, username=other.lms_username, place=place
                )
                warnings[warned.position].append(text)
        latest[key] = learner
    if not warnings:
        return learners
    return [replace(learner, warnings=tuple(warnings.get(learner.position, ()))) for learner in learners]


class Interference(NamedTuple):
    """The learners of a mapping that interfere.

    ``groups`` has for each of them, by position, the lowest position of its group; ``same_key`` the positions of those
    that share a key, whatever its case.
    """

    groups: dict[int, int]
    same_key: list[int]


def interfering_learners(program_uuid: UUID, learners: Statement) -> Interference:
    """Find the learners of a mapping that interfere; see :mod:`linking.engine.interference`."""
    source, parameters = learners
    keys = _shared(f"SELECT position, {folded('external_user_key')} AS token FROM ({source}) learner", parameters)
    with_touched, parameters = _with_touched(program_uuid, learners)
    users = _shared(f"{with_touched} SELECT position, token FROM touched", parameters)
    groups = group((position, [token]) for tokens in (keys, users) for position, token in tokens)
    return Interference(groups, [position for position, _ in keys])


def _shared(tokens: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    """Return those of a query's (position, token) whose token several positions have."""
    sql = f"""
        SELECT position, token FROM (
            SELECT position, token, MIN(position) OVER same AS lowest, MAX(position) OVER same AS highest
            FROM ({tokens}) token WINDOW same AS (PARTITION BY token)
        ) shared WHERE lowest <> highest
    """
    return fetch(sql, parameters)


def count_relinks(program_uuid: UUID, learners: Statement) -> int:
    """Count the learners of a mapping that linking would relink, one after the other.

    A learner counts if its program enrollment is linked to another user by then: now, or by an earlier learner of the
    mapping. Learners that fail are not known in advance and count as well, so the count is exact if no learner fails,
    and too high otherwise.
    """
    source, parameters = learners
    _, user_id, _ = user_table()
    exact = dialect().same_text("enrollment.external_user_key", "learner.external_user_key")
    # The best match first, as SliceState.find_enrollment has it.
    order = f"CASE WHEN {exact} THEN 0 ELSE 1 END, enrollment.id DESC"
    sql = f"""
        WITH learner AS ({source}), ranked AS (
            SELECT learner.position, enrollment.id, enrollment.user_id AS present, lms_user.{user_id} AS wanted,
                   ROW_NUMBER() OVER (PARTITION BY learner.position ORDER BY {order}) AS place
            FROM learner JOIN {_users()} {_join_enrollments()}
        ), ordered AS (
            SELECT wanted, COALESCE(LAG(wanted) OVER (PARTITION BY id ORDER BY position), present) AS former
            FROM ranked WHERE place = 1
        )
        SELECT COUNT(*) FROM ordered WHERE former <> wanted
    """
    ((count,),) = fetch(sql, [*parameters, program_uuid])
    return int(count)


def claimable_tokens(program_uuid: UUID, learners: Statement, former: Statement | None = None) -> Statement:
    """Return a query of (token, brings): the hashed tokens of the learners of a mapping, each program having its own.

    ``brings`` is null but for keys: the token of the user that a learner links to the key. Each learner has a token
    once, so that those that appear twice are of learners that interfere (but for ``former``).

    Args:
        program_uuid: the program.
        learners: the mapping.
        former: for a job that undoes another, a query of ``external_user_key`` and ``former`` of its learners: the id
            of the user that it gives the program enrollment back to, or null.
    """
    key = dialect().hash(folded("learner.external_user_key"))
    of_key, of_user = f"{program_uuid.hex} key ", f"{program_uuid.hex} user "
    with_touched, parameters = _with_touched(program_uuid, learners)
    sql = f"""
        {with_touched}
        SELECT {key} AS token, {dialect().hash("learner.user_id")} AS brings FROM named learner
        UNION ALL SELECT {dialect().hash("learner.token")}, NULL
        FROM (SELECT DISTINCT position, token FROM touched) learner
    """
    values = [*parameters, of_key, of_user, of_user]
    if former is not None:
        former_sql, former_parameters = former
        by_former = f"({former_sql}) learner WHERE learner.former IS NOT NULL"
        user = dialect().hash("learner.former")
        sql += f"UNION ALL SELECT {key}, {user} FROM {by_former} UNION ALL SELECT {user}, NULL FROM {by_former}"
        values += [of_key, of_user, *former_parameters, of_user, *former_parameters]
    return sql, values


def _with_touched(program_uuid: UUID, learners: Statement) -> Statement:
    """Return the beginning of a query (``WITH``) of the learners of a mapping and the users that they touch.

    ``named`` has the learners with the user that they name, or null; ``touched`` the position of each learner and, as
    ``token``, the users that it names, that have its program enrollment, and whose rows that points at.
    """
    source, parameters = learners
    _, user_id, _ = user_table()
    sql = f"""
        WITH learner AS ({source}), named AS (
            SELECT learner.position, learner.external_user_key, lms_user.{user_id} AS user_id
            FROM learner LEFT JOIN {_users()}
        ), matched AS (
            SELECT learner.position, enrollment.id, enrollment.user_id FROM learner {_join_enrollments()}
        ), touched AS (
            SELECT position, user_id AS token FROM named WHERE user_id IS NOT NULL
            UNION ALL
            SELECT position, user_id FROM matched WHERE user_id IS NOT NULL
            UNION ALL
            SELECT matched.position, ce.user_id FROM matched
            JOIN program_enrollments_programcourseenrollment pce ON pce.program_enrollment_id = matched.id
            JOIN student_courseenrollment ce ON ce.id = pce.course_enrollment_id
        )
    """
    return sql, [*parameters, program_uuid]


def _users() -> str:
    table, _, name = user_table()
    return f"{table} lms_user ON {dialect().same_text(f'lms_user.{name}', 'learner.lms_username')}"


def _join_enrollments() -> str:
    return f"""
        JOIN program_enrollments_programenrollment enrollment ON enrollment.program_uuid = %s
         AND {dialect().same_key("enrollment.external_user_key", "learner.external_user_key")}
    """
