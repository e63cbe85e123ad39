-- One workload in empty tables, for MySQL and MariaDB: the same rows as ``benchmarks/workloads.sql`` writes, but those
-- of the learners that are linked one by one, whom only the benchmark of PostgreSQL has. It runs without strict mode,
-- since an LMS's tables have further columns without defaults.
CREATE TABLE benchmark_learner (
    position INT PRIMARY KEY, `key` VARCHAR(64), role INT, user_number CHAR(7), kind VARCHAR(16)
);

INSERT INTO benchmark_learner
SELECT number, CONCAT('key-', LPAD(number, 7, '0')), number DIV 20 %% 20,
       LPAD(number * %(stride)s %% %(total)s, 7, '0'),
       CASE %(workload)s WHEN 'mixed' THEN CASE number %% 20
           WHEN 0 THEN ELT(1 + number DIV 20 %% 4, 'no user', 'no enrollment', 'no course run', 'linked')
           WHEN 1 THEN 'relink' WHEN 2 THEN 'relink' ELSE 'fresh' END ELSE %(workload)s END
FROM benchmark_number WHERE number < %(total)s ORDER BY number;

-- Course runs: ten offer audit, five do not, five have no modes at all.
INSERT INTO course_overviews_courseoverview (id, org, display_name, created, modified)
SELECT CONCAT('course-v1:BenchX+C', number, '+2026'), 'BenchX', CONCAT('Course ', number), NOW(6), NOW(6)
FROM benchmark_number WHERE number < 20;

INSERT INTO course_modes_coursemode (course_id, mode_slug, mode_display_name)
SELECT CONCAT('course-v1:BenchX+C', number, '+2026'), 'masters', 'masters' FROM benchmark_number WHERE number < 15
UNION ALL
SELECT CONCAT('course-v1:BenchX+C', number, '+2026'), 'audit', 'audit' FROM benchmark_number WHERE number < 10;

-- Users: the users of the mapping, users that are linked before, and users of other programs.
INSERT INTO auth_user
    (username, password, is_superuser, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT username, '!', false, '', '', CONCAT(username, '@example.org'), false, true, NOW(6) FROM (
    SELECT 1 AS sort, CONCAT('learner-', user_number) AS username FROM benchmark_learner WHERE kind <> 'no user'
    UNION ALL SELECT 2, CONCAT('former-', user_number) FROM benchmark_learner WHERE kind = 'relink'
    UNION ALL SELECT 3, CONCAT('bystander-', number) FROM benchmark_number WHERE number < %(bystanders)s
) AS users ORDER BY sort, username;

CREATE TABLE benchmark_user (position INT PRIMARY KEY, user_id INT, held_by INT);

INSERT INTO benchmark_user
SELECT position, present.id, CASE kind WHEN 'relink' THEN former.id WHEN 'linked' THEN present.id END
FROM benchmark_learner
LEFT JOIN auth_user present ON present.username = CONCAT('learner-', user_number)
LEFT JOIN auth_user former ON former.username = CONCAT('former-', user_number);

INSERT INTO program_enrollments_programenrollment
    (external_user_key, user_id, program_uuid, curriculum_uuid, status, created, modified)
SELECT learner.key, held_by, %(program)s, %(curriculum)s, 'enrolled', NOW(6), NOW(6)
FROM benchmark_learner learner JOIN benchmark_user USING (position) WHERE kind <> 'no enrollment' ORDER BY position;

CREATE TABLE benchmark_course_run AS
SELECT enrollment.id AS enrollment_id, position, role, held_by, place.number AS place,
       CASE WHEN kind = 'no course run' AND place.number = 1 THEN 'course-v1:BenchX+Gone+2026'
            ELSE CONCAT('course-v1:BenchX+C', (position + place.number * 7) %% 20, '+2026') END AS course_key
FROM benchmark_learner learner JOIN benchmark_user USING (position)
JOIN program_enrollments_programenrollment enrollment ON enrollment.external_user_key = learner.key
JOIN benchmark_number place ON place.number < 2;

INSERT INTO student_courseenrollment (user_id, course_id, is_active, mode, created)
SELECT held_by, course_key, true, 'masters', NOW(6) FROM benchmark_course_run
WHERE held_by IS NOT NULL ORDER BY position, place;

INSERT INTO program_enrollments_programcourseenrollment
    (program_enrollment_id, course_enrollment_id, course_key, status, created, modified)
SELECT enrollment_id, taken.id, run.course_key, 'active', NOW(6), NOW(6) FROM benchmark_course_run run
LEFT JOIN student_courseenrollment taken ON taken.user_id = run.held_by AND taken.course_id = run.course_key
ORDER BY position, place;

-- One learner in twenty has a role assigned in advance, one in twenty of the former users holds one.
INSERT INTO program_enrollments_courseaccessroleassignment (role, enrollment_id, created, modified)
SELECT 'staff', pce.id, NOW(6), NOW(6) FROM benchmark_course_run run
JOIN program_enrollments_programcourseenrollment pce
  ON pce.program_enrollment_id = run.enrollment_id AND pce.course_key = run.course_key
WHERE role = 3 AND place = 0 ORDER BY position;

INSERT INTO student_courseaccessrole (user_id, org, course_id, role)
SELECT held_by, 'BenchX', course_key, 'staff' FROM benchmark_course_run
WHERE role = 4 AND place = 0 AND held_by IS NOT NULL ORDER BY position;

DROP TABLE benchmark_course_run;

-- Other learners of the LMS, and an earlier job.
INSERT INTO student_courseenrollment (user_id, course_id, is_active, mode, created)
SELECT id, CONCAT('course-v1:BenchX+C', (id + place.number * 7) %% 20, '+2026'), true, 'audit', NOW(6)
FROM auth_user JOIN benchmark_number place ON place.number < 2
WHERE username LIKE 'bystander-%%' ORDER BY id, place.number;

INSERT INTO student_courseaccessrole (user_id, org, course_id, role)
SELECT id, 'BenchX', CONCAT('course-v1:BenchX+C', id %% 20, '+2026'), 'staff'
FROM auth_user WHERE username LIKE 'bystander-%%' AND id %% 20 = 0;

INSERT INTO worker_learneroutcome
    (job_id, position, external_user_key, lms_username, slice, outcome, message, warnings, attempts, finished)
SELECT %(former_job)s, number, CONCAT('bystander-', number), CONCAT('bystander-', number), number DIV 1000, 'linked', '',
       '[]', 1, NOW(6)
FROM benchmark_number WHERE number < %(bystanders)s;
