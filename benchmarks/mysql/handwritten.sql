-- Variant E on MySQL and MariaDB: one slice of learners, linked by a fixed number of statements, with the rows that the
-- worker's ledger gets. It assumes that learners do not interfere with each other, that a key has one enrollment and
-- that no other transaction writes the same rows, and omits what the engine does where they do.
INSERT INTO slice_learner
SELECT request.position, request.external_key, request.username, lms_user.id, lms_user.is_active, pe.id, pe.user_id,
       pe.external_user_key,
       CASE WHEN lms_user.id IS NULL THEN 'no_user' WHEN pe.id IS NULL THEN 'no_enrollment'
            WHEN pe.user_id = lms_user.id THEN 'already_linked' WHEN pe.user_id IS NULL THEN 'linked'
            ELSE 'relinked' END
FROM JSON_TABLE(%(learners)s, '$[*]' COLUMNS (
    position INT PATH '$[0]', external_key VARCHAR(255) PATH '$[1]', username VARCHAR(150) PATH '$[2]'
)) AS request
LEFT JOIN auth_user lms_user ON lms_user.username = request.username
LEFT JOIN program_enrollments_programenrollment pe
  ON pe.external_user_key = request.external_key AND pe.program_uuid = %(program)s;

INSERT INTO slice_run (id, position, user_id, is_active, former_id, course_key, status, was_modified, course_exists, former_ce,
                       former_active, former_mode, unlinked_mode, target, target_active, target_mode)
SELECT pce.id, learner.position, learner.user_id, learner.is_active, learner.former_id, pce.course_key, pce.status,
       pce.modified, run.id IS NOT NULL, former.id, former.is_active, former.mode,
       IF(COALESCE(offered.audit, 1), 'audit', former.mode), target.id, target.is_active, target.mode
FROM slice_learner learner
STRAIGHT_JOIN program_enrollments_programcourseenrollment pce ON pce.program_enrollment_id = learner.enrollment_id
LEFT JOIN course_overviews_courseoverview run ON run.id = pce.course_key
LEFT JOIN student_courseenrollment former ON former.id = pce.course_enrollment_id
LEFT JOIN student_courseenrollment target ON target.user_id = learner.user_id AND target.course_id = pce.course_key
LEFT JOIN (
    SELECT course_id, MAX(mode_slug = 'audit') AS audit FROM course_modes_coursemode
    WHERE mode_slug <> 'credit' AND (expiration_datetime IS NULL OR expiration_datetime > NOW(6)) GROUP BY course_id
) offered ON offered.course_id = former.course_id
WHERE learner.outcome IN ('linked', 'relinked');

UPDATE slice_learner JOIN (SELECT DISTINCT position FROM slice_run WHERE NOT course_exists) gone USING (position)
SET outcome = 'course_error';

DELETE slice_run FROM slice_run JOIN slice_learner USING (position) WHERE outcome = 'course_error';

UPDATE slice_learner learner STRAIGHT_JOIN program_enrollments_programenrollment pe ON pe.id = learner.enrollment_id
SET pe.user_id = learner.user_id, pe.modified = NOW(6) WHERE outcome IN ('linked', 'relinked');

UPDATE slice_run run STRAIGHT_JOIN student_courseenrollment ce ON ce.id = run.former_ce
SET ce.is_active = false, ce.mode = run.unlinked_mode;

UPDATE slice_run run STRAIGHT_JOIN student_courseenrollment ce ON ce.id = run.target
SET ce.mode = IF(run.target_active AND run.target_mode NOT IN ('audit', 'honor'), run.target_mode, 'masters'),
    ce.is_active = run.status = 'active'
        OR (run.target_active AND run.target_mode NOT IN ('audit', 'honor', 'masters'));

INSERT INTO student_courseenrollment (user_id, course_id, is_active, mode, created)
SELECT user_id, course_key, status = 'active', 'masters', NOW(6) FROM slice_run WHERE target IS NULL
ORDER BY user_id, course_key;

UPDATE slice_run run
STRAIGHT_JOIN student_courseenrollment ce ON ce.user_id = run.user_id AND ce.course_id = run.course_key
STRAIGHT_JOIN program_enrollments_programcourseenrollment pce ON pce.id = run.id
SET run.target = ce.id, run.is_active_now = ce.is_active, run.mode_now = ce.mode, pce.course_enrollment_id = ce.id,
    pce.modified = NOW(6);

INSERT INTO slice_role
SELECT a.id, a.role, a.created, run.id, run.position, run.user_id, run.course_key, held.id IS NULL
FROM slice_run run
STRAIGHT_JOIN program_enrollments_courseaccessroleassignment a ON a.enrollment_id = run.id
LEFT JOIN student_courseaccessrole held
  ON held.user_id = run.user_id AND held.course_id = run.course_key AND held.role = a.role
WHERE run.is_active AND a.role = 'staff';

INSERT INTO student_courseaccessrole (user_id, org, course_id, role)
SELECT user_id, SUBSTRING_INDEX(SUBSTRING(course_key, 11), '+', 1), course_key, role FROM slice_role WHERE is_new;

DELETE a FROM slice_role STRAIGHT_JOIN program_enrollments_courseaccessroleassignment a ON a.id = slice_role.id;

INSERT INTO slice_warning
SELECT run.position, CONCAT('["course roles of the former account stay with it: ',
       GROUP_CONCAT(CONCAT(held.role, ' on ', held.course_id) ORDER BY run.id, held.role SEPARATOR ', '), '"]')
FROM slice_run run
STRAIGHT_JOIN student_courseaccessrole held ON held.user_id = run.former_id AND held.course_id = run.course_key
GROUP BY run.position;

INSERT INTO worker_learneroutcome (job_id, position, external_user_key, lms_username, slice, outcome, message, warnings,
                                   `before`, attempts, finished)
SELECT %(job)s, position, external_key, username, %(slice)s, outcome,
       CASE outcome
           WHEN 'no_user' THEN CONCAT('No user found with username ', username)
           WHEN 'no_enrollment' THEN CONCAT('No program enrollment found for program uuid=', %(program_text)s,
                                            ' and external student key=', external_key)
           WHEN 'already_linked' THEN CONCAT('Program enrollment with external_student_key=', stored_key,
                                             ' is already linked to target account username=', username)
           WHEN 'course_error' THEN 'NonExistentCourseError'
           ELSE '' END,
       COALESCE(slice_warning.warnings, '[]'),
       CASE WHEN outcome IN ('linked', 'relinked') THEN CONCAT(
           '{"version": 2, "enrollment": ', enrollment_id, ', "user": [', COALESCE(former_id, 'null'), ', ', user_id, ']',
           ', "course_enrollments": [', CONCAT_WS(', ', left_course_enrollments, new_course_enrollments), ']',
           ', "courses": [', COALESCE(courses, ''), '], "roles": [', COALESCE(roles, ''), ']}') END,
       1, NOW(6)
FROM slice_learner
LEFT JOIN (
    SELECT position,
           GROUP_CONCAT(CONCAT('[', id, ', ', COALESCE(former_ce, 'null'), ', ', target, ', "',
               DATE_FORMAT(was_modified, '%%Y-%%m-%%dT%%H:%%i:%%s.%%f+00:00'), '"]') ORDER BY id SEPARATOR ', ') AS courses,
           GROUP_CONCAT(IF(former_active OR former_mode <> unlinked_mode, CONCAT(
               '[', former_ce, ', [', IF(former_active, 'true', 'false'), ', ', JSON_QUOTE(former_mode),
               '], [false, ', JSON_QUOTE(unlinked_mode), ']]'), NULL) ORDER BY id SEPARATOR ', ') AS left_course_enrollments,
           GROUP_CONCAT(IF(target_mode = mode_now AND target_active = is_active_now, NULL, CONCAT(
               '[', target, ', ', COALESCE(
                   CONCAT('[', IF(target_active, 'true', 'false'), ', ', JSON_QUOTE(target_mode), ']'), 'null'),
               ', [', IF(is_active_now, 'true', 'false'), ', ', JSON_QUOTE(mode_now), ']]'))
               ORDER BY id SEPARATOR ', ') AS new_course_enrollments
    FROM slice_run GROUP BY position
) run USING (position)
LEFT JOIN (
    SELECT position, GROUP_CONCAT(CONCAT('[', run_id, ', ', JSON_QUOTE(role), ', ', id, ', ',
        IF(is_new, 'true', 'false'), ', "', DATE_FORMAT(assigned, '%%Y-%%m-%%dT%%H:%%i:%%s.%%f+00:00'), '"]')
        ORDER BY run_id SEPARATOR ', ') AS roles
    FROM slice_role GROUP BY position
) role USING (position)
LEFT JOIN slice_warning USING (position)
ORDER BY position;
