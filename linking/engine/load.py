"""Read the rows that a slice needs, in a fixed number of statements.

Locks are taken in one order everywhere, program enrollments by id and then course enrollments by id, so that two jobs,
or a job and the LMS, cannot deadlock each other. Everything that decisions depend on is read after the locks.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, SliceState, User
from linking.keys import fold_key, is_storable
from linking.outcomes import Learner
from linking.sql import dialect
from linking.sql.statements import aware, fetch, is_one_of, user_table


def load_slice(program_uuid: UUID, learners: Sequence[Learner], now: datetime) -> SliceState:
    """Read, and lock, everything that linking ``learners`` depends on."""
    state = SliceState()
    # A text that no database can store matches no row, and would fail the statement.
    keys = {learner.external_user_key for learner in learners if is_storable(learner.external_user_key)}
    names = {learner.lms_username for learner in learners if is_storable(learner.lms_username)}
    read_enrollments(state, program_uuid, keys)
    stored = {match.user_id for matches in state.enrollments.values() for match in matches if match.user_id is not None}
    read_users(state, names, stored)
    pairs = [
        (enrollment, user)
        for learner in learners
        if (user := state.users.get(learner.lms_username))
        and (enrollment := state.find_enrollment(learner.external_user_key))
    ]
    read_holders(state, program_uuid, {user.id for _, user in pairs})
    read_courses(state, pairs, now)
    return state


def read_courses(state: SliceState, pairs: Sequence[tuple[ProgramEnrollment, User | None]], now: datetime) -> None:
    """Read the course runs of enrollments, and all about them that concerns their present and future users."""
    enrollments = {enrollment.id: enrollment for enrollment, _ in pairs}
    realized = read_program_course_enrollments(enrollments)
    wanted = {(user.id, course.course_key) for enrollment, user in pairs if user for course in enrollment.courses}
    ids = [course.course_enrollment_id or 0 for course in realized]
    by_id = read_course_enrollments(state, ids, wanted, lock=dialect().value_lock)
    for course in realized:
        course.points_at = by_id[course.course_enrollment_id or 0]
    read_course_runs(state, {key for _, key in wanted} | {row.course_key for row in by_id.values()}, now)
    read_roles(state, _users_with_roles(pairs))


def read_users(state: SliceState, usernames: Collection[str], user_ids: Collection[int]) -> None:
    """Read users by exact username; of those with the given ids read the username, for messages."""
    table, key, name = user_table()
    by_name, names = is_one_of(name, usernames, "text")
    by_id, ids = is_one_of(key, user_ids)
    # Two index scans, where one condition with OR would read the whole table.
    sql = f"""
        SELECT {key}, {name}, is_active FROM {table} WHERE {by_name}
        UNION
        SELECT {key}, {name}, is_active FROM {table} WHERE {by_id}
    """
    for user_id, username, is_active in fetch(sql, [*names, *ids]):
        state.usernames[user_id] = username
        if username in usernames:
            state.users[username] = User(id=user_id, username=username, is_active=bool(is_active))


def read_enrollments(state: SliceState, program_uuid: UUID, keys: Collection[str]) -> None:
    """Read and lock the program enrollments with the given keys, without regard to case."""
    condition, parameters = dialect().key_is_one_of("external_user_key", keys)
    for enrollment in _lock_enrollments(f"program_uuid = %s AND {condition}", [program_uuid, *parameters]):
        state.enrollments[fold_key(enrollment.external_user_key or "")].append(enrollment)


def read_enrollments_by_id(ids: Collection[int]) -> dict[int, ProgramEnrollment]:
    """Read and lock program enrollments."""
    return {enrollment.id: enrollment for enrollment in _lock_enrollments(*is_one_of("id", ids))}


def _lock_enrollments(condition: str, parameters: Sequence[Any]) -> list[ProgramEnrollment]:
    table, columns = "program_enrollments_programenrollment", "id, external_user_key, curriculum_uuid, user_id"
    sql = dialect().select_locked(table, columns, condition, dialect().row_lock)
    return [
        ProgramEnrollment(
            id=row_id, external_user_key=key, curriculum_uuid=curriculum, user_id=user_id, stored_user_id=user_id
        )
        for row_id, key, curriculum, user_id in fetch(sql, parameters)
    ]


def read_holders(state: SliceState, program_uuid: UUID, user_ids: Collection[int]) -> None:
    """Read which program enrollment each user holds in each curriculum of the program."""
    if not user_ids:
        return
    condition, ids = is_one_of("user_id", user_ids)
    sql = f"""
        {dialect().select_each} user_id, curriculum_uuid, id FROM program_enrollments_programenrollment
        WHERE {condition} AND {dialect().filtered("program_uuid")} = %s
    """
    for user_id, curriculum, row_id in fetch(sql, [*ids, program_uuid]):
        state.holders[user_id, curriculum] = row_id


def read_program_course_enrollments(enrollments: Mapping[int, ProgramEnrollment]) -> list[ProgramCourseEnrollment]:
    """Read the course runs of enrollments, by id, and the roles assigned there; return those that are realized.

    Their ``points_at`` is not set yet.
    """
    if not enrollments:
        return []
    condition, ids = is_one_of("pce.program_enrollment_id", enrollments)
    sql = f"""
        SELECT pce.id, pce.program_enrollment_id, pce.course_key, pce.status, pce.course_enrollment_id, pce.modified,
               a.id, a.role, a.created
        FROM program_enrollments_programcourseenrollment pce
        LEFT JOIN program_enrollments_courseaccessroleassignment a ON a.enrollment_id = pce.id
        WHERE {condition} ORDER BY pce.id, a.id
    """
    courses: dict[int, ProgramCourseEnrollment] = {}
    for row_id, enrollment_id, course_key, status, ce_id, modified, *assignment in fetch(sql, ids):
        if row_id not in courses:
            courses[row_id] = ProgramCourseEnrollment(
                id=row_id, course_key=course_key, status=status, course_enrollment_id=ce_id, modified=aware(modified)
            )
            enrollments[enrollment_id].courses.append(courses[row_id])
        assignment_id, role, assigned = assignment
        if assignment_id is not None:
            courses[row_id].assignments.append((assignment_id, role, aware(assigned)))
    return [course for course in courses.values() if course.course_enrollment_id is not None]


def read_course_enrollments(
    state: SliceState, ids: Collection[int], pairs: Collection[tuple[int, str]], *, lock: str
) -> dict[int, CourseEnrollment]:
    """Read and lock course enrollments by id and by (user id, course key); return them all by id.

    ``lock`` is the dialect's ``value_lock``, or its ``row_lock`` for rows that may be deleted.
    """
    if not ids and not pairs:
        return {}
    ids_sql, id_rows = dialect().rowset("realized", {"id": "bigint"}, [(row_id,) for row_id in ids])
    pairs_sql, pair_rows = dialect().rowset("wanted", {"user_id": "bigint", "course_key": "text"}, list(pairs))
    # A subquery for each pair is one lookup in the unique index, where a join might read the whole table.
    wanted_ids = f"""
        SELECT id FROM {ids_sql}
        UNION
        SELECT (
            SELECT ce.id FROM student_courseenrollment ce
            WHERE ce.user_id = wanted.user_id AND ce.course_id = wanted.course_key
        ) FROM {pairs_sql}
    """
    condition = dialect().is_in("id", wanted_ids)
    columns = "id, user_id, course_id, is_active, mode, created"
    sql = dialect().select_locked("student_courseenrollment", columns, condition, lock)
    by_id = {}
    for row_id, user_id, course_key, is_active, mode, created in fetch(sql, [*id_rows, *pair_rows]):
        row = CourseEnrollment(
            id=row_id,
            user_id=user_id,
            course_key=course_key,
            is_active=bool(is_active),
            mode=mode,
            stored=(bool(is_active), mode),
            created=aware(created),
        )
        by_id[row_id] = state.course_enrollments[user_id, course_key] = row
    return by_id


def read_course_runs(state: SliceState, course_keys: Collection[str], now: datetime) -> None:
    """Read which course runs exist, and the modes that they offer: those that are unexpired, except ``credit``."""
    if not course_keys:
        return
    rows_sql, rows = dialect().rowset("wanted", {"course_key": "text"}, [(key,) for key in course_keys])
    sql = f"""
        SELECT wanted.course_key, run.id IS NOT NULL, mode.mode_slug
        FROM {rows_sql}
        LEFT JOIN course_overviews_courseoverview run ON run.id = wanted.course_key
        LEFT JOIN course_modes_coursemode mode ON mode.course_id = wanted.course_key
         AND mode.mode_slug <> 'credit' AND (mode.expiration_datetime IS NULL OR mode.expiration_datetime > %s)
    """
    for course_key, exists, mode in fetch(sql, [*rows, now]):
        if exists:
            state.courses.add(course_key)
        if mode is not None:
            state.modes.setdefault(course_key, set()).add(mode)


def read_roles(state: SliceState, courses_of: Mapping[int, Collection[str]]) -> None:
    """Read the roles that users hold on some course runs, by user id."""
    if not courses_of:
        return
    condition, ids = is_one_of("user_id", courses_of)
    sql = f"SELECT id, user_id, course_id, org, role FROM student_courseaccessrole WHERE {condition}"
    for role_id, user_id, course_key, org, role in fetch(sql, ids):
        if course_key in courses_of[user_id]:
            state.roles[user_id, course_key][org, role] = role_id


def _users_with_roles(pairs: Sequence[tuple[ProgramEnrollment, User | None]]) -> Mapping[int, Collection[str]]:
    """Return the course runs, by user, of users that may be granted a role, and of users that lose the enrollment."""
    courses_of: dict[int, set[str]] = defaultdict(set)
    learners_of = Counter(enrollment.id for enrollment, _ in pairs)
    for enrollment, user in pairs:
        for course in enrollment.courses:
            # Where several learners share the enrollment, the user of one is the former user of the next.
            if user is not None and (course.assignments or learners_of[enrollment.id] > 1):
                courses_of[user.id].add(course.course_key)
            if enrollment.user_id is not None:
                courses_of[enrollment.user_id].add(course.course_key)
    return courses_of
