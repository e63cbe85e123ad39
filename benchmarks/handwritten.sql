-- Variant E: one slice of learners, linked by one statement, with the rows that the worker's ledger gets.
-- It assumes that learners do not interfere with each other, and omits what the engine does for those that do.
WITH request AS MATERIALIZED (
    SELECT * FROM unnest(%(positions)s::int[], %(keys)s::text[], %(names)s::text[]) AS t(position, key, username)
),
learner AS MATERIALIZED (
    SELECT request.*, lms_user.id AS user_id, lms_user.is_active, enrollment.id AS enrollment_id,
           enrollment.user_id AS former_id, enrollment.external_user_key AS stored_key
    FROM request
    LEFT JOIN auth_user lms_user ON lms_user.username = request.username
    LEFT JOIN LATERAL (
        SELECT pe.id, pe.user_id, pe.external_user_key FROM program_enrollments_programenrollment pe
        WHERE pe.program_uuid = %(program)s AND LOWER(pe.external_user_key) = LOWER(request.key)
        ORDER BY pe.external_user_key = request.key DESC, pe.id DESC LIMIT 1
    ) enrollment ON true
),
run AS MATERIALIZED (
    SELECT pce.id, learner.position, learner.user_id, learner.is_active, learner.former_id, pce.course_key, pce.status,
           pce.course_enrollment_id AS former_ce, pce.modified AS was_modified,
           EXISTS (SELECT FROM course_overviews_courseoverview course WHERE course.id = pce.course_key) AS course_exists
    FROM learner
    -- OFFSET 0: one index lookup per learner; a join would read the whole table.
    JOIN LATERAL (
        SELECT * FROM program_enrollments_programcourseenrollment any_pce
        WHERE any_pce.program_enrollment_id = learner.enrollment_id OFFSET 0
    ) pce ON true
    WHERE learner.user_id IS DISTINCT FROM learner.former_id AND learner.user_id IS NOT NULL
),
invalid AS MATERIALIZED (SELECT DISTINCT position FROM run WHERE NOT course_exists),
decision AS MATERIALIZED (
    SELECT learner.*, CASE
        WHEN user_id IS NULL THEN 'no_user' WHEN enrollment_id IS NULL THEN 'no_enrollment'
        WHEN user_id = former_id THEN 'already_linked' WHEN invalid.position IS NOT NULL THEN 'course_error'
        WHEN former_id IS NULL THEN 'linked' ELSE 'relinked' END AS outcome
    FROM learner LEFT JOIN invalid USING (position)
),
valid AS MATERIALIZED (SELECT run.* FROM run WHERE position NOT IN (SELECT position FROM invalid)),
relinked_enrollment AS (
    UPDATE program_enrollments_programenrollment pe SET user_id = decision.user_id, modified = now()
    FROM decision WHERE pe.id = decision.enrollment_id AND decision.outcome IN ('linked', 'relinked')
),
deactivated AS (
    UPDATE student_courseenrollment ce SET is_active = false, mode = CASE
        WHEN (
            SELECT bool_or(mode.mode_slug = 'audit') FROM course_modes_coursemode mode
            WHERE mode.course_id = ce.course_id AND mode.mode_slug <> 'credit'
            AND (mode.expiration_datetime IS NULL OR mode.expiration_datetime > now())
        ) IS NOT FALSE
        THEN 'audit' ELSE ce.mode END
    FROM valid WHERE ce.id = valid.former_ce
    RETURNING valid.id AS run_id, ce.id, OLD.is_active AS was_active, OLD.mode AS was_mode, NEW.is_active, NEW.mode
),
enrolled AS (
    INSERT INTO student_courseenrollment AS ce (user_id, course_id, is_active, mode, created)
    SELECT user_id, course_key, status = 'active', 'masters', now() FROM valid ORDER BY user_id, course_key
    ON CONFLICT (user_id, course_id) DO UPDATE SET
        is_active = CASE WHEN ce.is_active AND ce.mode NOT IN ('audit', 'honor', 'masters') THEN true ELSE EXCLUDED.is_active END,
        mode = CASE WHEN ce.is_active AND ce.mode NOT IN ('audit', 'honor') THEN ce.mode ELSE 'masters' END
    RETURNING ce.id, ce.user_id, ce.course_id, OLD.is_active AS was_active, OLD.mode AS was_mode, NEW.is_active, NEW.mode
),
realized AS (
    UPDATE program_enrollments_programcourseenrollment pce SET course_enrollment_id = enrolled.id, modified = now()
    FROM valid JOIN enrolled ON enrolled.user_id = valid.user_id AND enrolled.course_id = valid.course_key
    WHERE pce.id = valid.id
),
used AS (
    DELETE FROM program_enrollments_courseaccessroleassignment a USING valid
    WHERE a.enrollment_id = valid.id AND valid.is_active AND a.role = 'staff'
    RETURNING a.id, a.role, a.created AS assigned, valid.id AS run_id, valid.position, valid.user_id, valid.course_key
),
granted AS (
    INSERT INTO student_courseaccessrole (user_id, org, course_id, role)
    SELECT user_id, substring(course_key FROM 'course-v1:([^+]*)'), course_key, role FROM used
    ON CONFLICT DO NOTHING RETURNING user_id, course_id, role
),
kept_roles AS (
    SELECT valid.position, jsonb_build_array('course roles of the former account stay with it: '
           || string_agg(held.role || ' on ' || held.course_id, ', ' ORDER BY valid.id, held.role)) AS warnings
    FROM valid JOIN student_courseaccessrole held ON held.user_id = valid.former_id AND held.course_id = valid.course_key
    GROUP BY valid.position
),
roles AS (
    SELECT position, jsonb_agg(
        jsonb_build_array(run_id, used.role, id, granted.role IS NOT NULL, assigned) ORDER BY run_id
    ) AS roles
    FROM used LEFT JOIN granted
      ON granted.user_id = used.user_id AND granted.role = used.role AND granted.course_id = used.course_key
    GROUP BY position
),
courses AS (
    SELECT valid.position,
        jsonb_agg(jsonb_build_array(valid.id, valid.former_ce, enrolled.id, valid.was_modified) ORDER BY valid.id) AS courses,
        COALESCE(jsonb_agg(jsonb_build_array(deactivated.id,
            jsonb_build_array(deactivated.was_active, deactivated.was_mode),
            jsonb_build_array(deactivated.is_active, deactivated.mode)) ORDER BY valid.id
        ) FILTER (WHERE (deactivated.was_active, deactivated.was_mode) <> (deactivated.is_active, deactivated.mode)), '[]')
        || COALESCE(jsonb_agg(jsonb_build_array(enrolled.id,
            CASE WHEN enrolled.was_mode IS NOT NULL THEN jsonb_build_array(enrolled.was_active, enrolled.was_mode) END,
            jsonb_build_array(enrolled.is_active, enrolled.mode)) ORDER BY valid.id
        ) FILTER (WHERE (enrolled.was_active, enrolled.was_mode) IS DISTINCT FROM (enrolled.is_active, enrolled.mode)), '[]')
        AS course_enrollments
    FROM valid
    JOIN enrolled ON enrolled.user_id = valid.user_id AND enrolled.course_id = valid.course_key
    LEFT JOIN deactivated ON deactivated.run_id = valid.id
    GROUP BY valid.position
),
recorded AS (
    INSERT INTO worker_learneroutcome (job_id, position, external_user_key, lms_username, slice, outcome, message,
                                       warnings, before, attempts, finished)
    SELECT %(job)s, position, key, username, %(slice)s, outcome,
        CASE outcome
            WHEN 'no_user' THEN 'No user found with username ' || username
            WHEN 'no_enrollment' THEN 'No program enrollment found for program uuid=' || %(program)s::text
                || ' and external student key=' || key
            WHEN 'already_linked' THEN 'Program enrollment with external_student_key=' || stored_key
                || ' is already linked to target account username=' || username
            WHEN 'course_error' THEN 'NonExistentCourseError'
            ELSE '' END,
        COALESCE(kept_roles.warnings, '[]'),
        CASE WHEN outcome IN ('linked', 'relinked') THEN jsonb_build_object(
            'version', 2, 'enrollment', enrollment_id, 'user', jsonb_build_array(former_id, user_id),
            'roles', COALESCE(roles.roles, '[]'), 'courses', COALESCE(courses.courses, '[]'),
            'course_enrollments', COALESCE(courses.course_enrollments, '[]')) END,
        1, clock_timestamp()
    FROM decision LEFT JOIN courses USING (position) LEFT JOIN roles USING (position) LEFT JOIN kept_roles USING (position)
    ORDER BY position
)
SELECT outcome, count(*) FROM decision GROUP BY outcome
