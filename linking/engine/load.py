"""Read what a slice needs: a fixed number of statements, whatever the slice holds.

Locks are taken in one order everywhere, program enrollments by id and then course enrollments by id, so that two jobs,
or a job and the LMS, cannot deadlock each other. What the decisions rest on is read after the locks.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection

from linking.engine.rules import find_enrollment
from linking.engine.state import CourseEnrollment, ProgramCourseEnrollment, ProgramEnrollment, User, World
from linking.keys import fold_key, is_storable
from linking.outcomes import Learner
from linking.sql.lookups import folded, stored_uuid, user_table
from linking.sql.rowsets import fetch, is_one_of, row_lock, rowset


def load_slice(program_uuid: UUID, learners: Sequence[Learner], now: datetime) -> World:
    """Read, and lock, everything that linking ``learners`` depends on."""
    world = World()
    # What no database can store cannot be found either; asking for it would fail the statement.
    keys = {learner.external_user_key for learner in learners if is_storable(learner.external_user_key)}
    names = {learner.lms_username for learner in learners if is_storable(learner.lms_username)}
    _read_enrollments(world, program_uuid, keys)
    stored = {match.user_id for matches in world.enrollments.values() for match in matches if match.user_id is not None}
    read_users(world, names, stored)
    pairs = [
        (enrollment, user)
        for learner in learners
        if (user := world.users.get(learner.lms_username))
        and (enrollment := find_enrollment(world, learner.external_user_key))
    ]
    read_holders(world, program_uuid, {user.id for _, user in pairs})
    read_courses(world, pairs, now)
    return world


def read_courses(world: World, pairs: Sequence[tuple[ProgramEnrollment, User | None]], now: datetime) -> None:
    """Read the course runs of enrollments, and all about them that matters to their users, present and future."""
    enrollments = {enrollment.id: enrollment for enrollment, _ in pairs}
    read_program_course_enrollments(enrollments)
    realized = [
        course.course_enrollment_id
        for enrollment in enrollments.values()
        for course in enrollment.courses
        if course.course_enrollment_id is not None
    ]
    wanted = {(user.id, course.course_key) for enrollment, user in pairs if user for course in enrollment.courses}
    by_id = read_course_enrollments(world, realized, wanted)
    for enrollment in enrollments.values():
        for course in enrollment.courses:
            if course.course_enrollment_id is not None:
                course.points_at = by_id[course.course_enrollment_id]
    course_keys = {course_key for _, course_key in wanted} | {row.course_key for row in by_id.values()}
    read_course_runs(world, course_keys, now)
    _read_roles(world, pairs)


def read_users(world: World, usernames: Collection[str], user_ids: Collection[int]) -> None:
    """Read users by exact username, and those with the given ids for the name by which the log calls them."""
    table, key, name = user_table()
    names_sql, names = rowset(connection, "wanted", {"name": "text"}, [(username,) for username in usernames])
    ids_sql, ids = rowset(connection, "wanted", {"id": "bigint"}, [(user_id,) for user_id in user_ids])
    # Two index scans, where one condition with OR would read the whole table.
    sql = f"""
        SELECT {key}, {name}, is_active FROM "{table}" WHERE {name} IN (SELECT name FROM {names_sql})
        UNION
        SELECT {key}, {name}, is_active FROM "{table}" WHERE {key} IN (SELECT id FROM {ids_sql})
    """
    for user_id, username, is_active in fetch(connection, sql, [*names, *ids]):
        world.usernames[user_id] = username
        if username in usernames:
            world.users[username] = User(id=user_id, username=username, is_active=bool(is_active))


def _read_enrollments(world: World, program_uuid: UUID, keys: Collection[str]) -> None:
    rows_sql, rows = rowset(connection, "wanted", {"external_key": "text"}, [(key,) for key in keys])
    # The database folds both sides: whatever its collation does, a key finds itself.
    sql = f"""
        SELECT pe.id, pe.user_id, pe.external_user_key, pe.curriculum_uuid
        FROM program_enrollments_programenrollment pe
        WHERE pe.program_uuid = %s
          AND {folded(connection, "pe.external_user_key")}
              IN (SELECT {folded(connection, "external_key")} FROM {rows_sql})
        ORDER BY pe.id {row_lock(connection)}
    """
    for pe_id, user_id, key, curriculum in fetch(connection, sql, [stored_uuid(connection, program_uuid), *rows]):
        enrollment = ProgramEnrollment(
            id=pe_id, external_user_key=key, curriculum_uuid=curriculum, user_id=user_id, stored_user_id=user_id
        )
        world.enrollments[fold_key(key)].append(enrollment)


def read_holders(world: World, program_uuid: UUID, user_ids: Collection[int]) -> None:
    """Read which program enrollment each of the users holds in a curriculum of the program."""
    if not user_ids:
        return
    rows_sql, rows = rowset(connection, "wanted", {"id": "bigint"}, [(user_id,) for user_id in user_ids])
    sql = f"""
        SELECT user_id, curriculum_uuid, id FROM program_enrollments_programenrollment
        WHERE user_id IN (SELECT id FROM {rows_sql}) AND program_uuid = %s
    """
    for user_id, curriculum, pe_id in fetch(connection, sql, [*rows, stored_uuid(connection, program_uuid)]):
        world.holders[user_id, curriculum] = pe_id


def read_program_course_enrollments(enrollments: dict[int, ProgramEnrollment]) -> None:
    """Read the course runs of enrollments, by id, and the roles assigned there; what they point at is still missing."""
    if not enrollments:
        return
    rows_sql, rows = rowset(connection, "wanted", {"id": "bigint"}, [(pe_id,) for pe_id in enrollments])
    sql = f"""
        SELECT pce.id, pce.program_enrollment_id, pce.course_key, pce.status, pce.course_enrollment_id, pce.modified,
               a.id, a.role, a.created
        FROM program_enrollments_programcourseenrollment pce
        LEFT JOIN program_enrollments_courseaccessroleassignment a ON a.enrollment_id = pce.id
        WHERE pce.program_enrollment_id IN (SELECT id FROM {rows_sql})
        ORDER BY pce.id, a.id
    """
    last: ProgramCourseEnrollment | None = None
    for pce_id, pe_id, course_key, status, ce_id, modified, *assignment in fetch(connection, sql, rows):
        if last is None or last.id != pce_id:
            last = ProgramCourseEnrollment(
                id=pce_id,
                course_key=course_key,
                status=status,
                course_enrollment_id=ce_id,
                modified=_aware(modified),
            )
            enrollments[pe_id].courses.append(last)
        assignment_id, role, assigned = assignment
        if assignment_id is not None:
            last.assignments.append((assignment_id, role, _aware(assigned)))


def read_course_enrollments(
    world: World, ids: Collection[int], pairs: Collection[tuple[int, str]]
) -> dict[int, CourseEnrollment]:
    """Read and lock course enrollments by id and by (user id, course key); return them all by id."""
    if not ids and not pairs:
        return {}
    ids_sql, id_rows = rowset(connection, "realized", {"id": "bigint"}, [(ce_id,) for ce_id in ids])
    pairs_sql, pair_rows = rowset(connection, "wanted", {"user_id": "bigint", "course_key": "text"}, list(pairs))
    # A subquery for each pair, where a join might read the whole table: each is one look into the unique index.
    wanted_ids = f"""
        SELECT id FROM {ids_sql}
        UNION
        SELECT (
            SELECT ce.id FROM student_courseenrollment ce
            WHERE ce.user_id = wanted.user_id AND ce.course_id = wanted.course_key
        ) FROM {pairs_sql}
    """
    sql = f"""
        SELECT id, user_id, course_id, is_active, mode, created FROM student_courseenrollment
        WHERE {is_one_of(connection, "id", wanted_ids)} ORDER BY id {row_lock(connection)}
    """
    by_id = {}
    for ce_id, user_id, course_key, is_active, mode, created in fetch(connection, sql, [*id_rows, *pair_rows]):
        row = CourseEnrollment(
            id=ce_id,
            user_id=user_id,
            course_key=course_key,
            is_active=bool(is_active),
            mode=mode,
            stored=(bool(is_active), mode),
            created=_aware(created),
        )
        by_id[ce_id] = world.course_enrollments[user_id, course_key] = row
    return by_id


def _aware(moment: datetime) -> datetime:
    """Return a moment as read with its time zone: SQLite's have none."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_course_runs(world: World, course_keys: Collection[str], now: datetime) -> None:
    """Read which course runs exist, and the unexpired modes of those that have any mode row."""
    if not course_keys:
        return
    rows_sql, rows = rowset(connection, "wanted", {"course_key": "text"}, [(key,) for key in course_keys])
    sql = f"""
        SELECT wanted.course_key, run.id IS NOT NULL, mode.mode_slug,
               mode.expiration_datetime IS NULL OR mode.expiration_datetime > %s
        FROM {rows_sql}
        LEFT JOIN course_overviews_courseoverview run ON run.id = wanted.course_key
        LEFT JOIN course_modes_coursemode mode ON mode.course_id = wanted.course_key
    """
    parameters = [connection.ops.adapt_datetimefield_value(now), *rows]
    for course_key, exists, mode, unexpired in fetch(connection, sql, parameters):
        if exists:
            world.courses.add(course_key)
        if mode is not None:
            offered = world.modes.setdefault(course_key, set())
            if unexpired:
                offered.add(mode)


def _read_roles(world: World, pairs: Sequence[tuple[ProgramEnrollment, User | None]]) -> None:
    """Read the roles held by users that may be granted one, and by those whose enrollment changes hands."""
    relevant: dict[int, set[str]] = defaultdict(set)
    learners_of = Counter(enrollment.id for enrollment, _ in pairs)
    for enrollment, user in pairs:
        for course in enrollment.courses:
            # Where several learners share the enrollment, the user of one is the former user of the next.
            if user is not None and (course.assignments or learners_of[enrollment.id] > 1):
                relevant[user.id].add(course.course_key)
            if enrollment.user_id is not None:
                relevant[enrollment.user_id].add(course.course_key)
    if not relevant:
        return
    rows_sql, rows = rowset(connection, "wanted", {"id": "bigint"}, [(user_id,) for user_id in relevant])
    sql = f"""
        SELECT user_id, course_id, org, role FROM student_courseaccessrole
        WHERE user_id IN (SELECT id FROM {rows_sql})
    """
    for user_id, course_key, org, role in fetch(connection, sql, rows):
        if course_key in relevant[user_id]:
            world.roles[user_id, course_key].add((org, role))
