-- One workload in empty tables. A learner's kind follows from the position in the mapping. Users are in another order
-- than keys, as in an LMS, where users register at any time.
CREATE TABLE benchmark_learner AS
SELECT position, 'key-' || to_char(position, 'FM0000000') AS key, position / 20 %% 20 AS role,
       to_char(position::bigint * %(stride)s %% %(total)s, 'FM0000000') AS user_number,
       CASE %(workload)s::text WHEN 'mixed' THEN CASE position %% 20
           WHEN 0 THEN (ARRAY['no user', 'no enrollment', 'no course run', 'linked'])[1 + position / 20 %% 4]
           WHEN 1 THEN 'relink' WHEN 2 THEN 'relink' ELSE 'fresh' END ELSE %(workload)s::text END AS kind
FROM generate_series(0, %(total)s - 1) AS position;

CREATE UNIQUE INDEX ON benchmark_learner (position);

-- Course runs: ten offer audit, five do not, five have no modes at all.
INSERT INTO course_overviews_courseoverview (id, org, display_name, created, modified)
SELECT 'course-v1:BenchX+C' || number || '+2026', 'BenchX', 'Course ' || number, now(), now()
FROM generate_series(0, 19) AS number;

INSERT INTO course_modes_coursemode (course_id, mode_slug, mode_display_name)
SELECT 'course-v1:BenchX+C' || number || '+2026', slug, slug
FROM generate_series(0, 14) AS number, unnest(ARRAY['audit', 'masters']) AS slug
WHERE slug = 'masters' OR number < 10;

-- Users: the users of the mapping, users that are linked before, users of other programs, and the users of the program
-- whose learners are linked one by one.
INSERT INTO auth_user
    (username, password, is_superuser, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT username, '!', false, '', '', '', false, true, now() FROM (
    SELECT 1, 'learner-' || user_number FROM benchmark_learner WHERE kind <> 'no user'
    UNION ALL SELECT 2, 'former-' || user_number FROM benchmark_learner WHERE kind = 'relink'
    UNION ALL SELECT 3, 'bystander-' || number FROM generate_series(0, %(bystanders)s - 1) AS number
    UNION ALL SELECT 4, 'single-' || number FROM generate_series(0, %(singles)s - 1) AS number
) AS users(sort, username) ORDER BY sort, username;

CREATE TABLE benchmark_user AS
SELECT position, present.id AS user_id,
       CASE kind WHEN 'relink' THEN former.id WHEN 'linked' THEN present.id END AS held_by
FROM benchmark_learner
LEFT JOIN auth_user present ON present.username = 'learner-' || user_number
LEFT JOIN auth_user former ON former.username = 'former-' || user_number;

CREATE UNIQUE INDEX ON benchmark_user (position);

INSERT INTO program_enrollments_programenrollment
    (external_user_key, user_id, program_uuid, curriculum_uuid, status, created, modified)
SELECT key, held_by, %(program)s, %(curriculum)s, 'enrolled', now(), now()
FROM benchmark_learner JOIN benchmark_user USING (position) WHERE kind <> 'no enrollment' ORDER BY position;

CREATE TABLE benchmark_course_run AS
SELECT enrollment.id AS enrollment_id, position, role, held_by, place,
       CASE WHEN kind = 'no course run' AND place = 1 THEN 'course-v1:BenchX+Gone+2026'
            ELSE 'course-v1:BenchX+C' || (position + place * 7) %% 20 || '+2026' END AS course_key
FROM benchmark_learner JOIN benchmark_user USING (position)
JOIN program_enrollments_programenrollment enrollment ON enrollment.external_user_key = key,
generate_series(0, 1) AS place;

INSERT INTO student_courseenrollment (user_id, course_id, is_active, mode, created)
SELECT held_by, course_key, true, 'masters', now() FROM benchmark_course_run
WHERE held_by IS NOT NULL ORDER BY position, place;

INSERT INTO program_enrollments_programcourseenrollment
    (program_enrollment_id, course_enrollment_id, course_key, status, created, modified)
SELECT enrollment_id, taken.id, run.course_key, 'active', now(), now() FROM benchmark_course_run run
LEFT JOIN student_courseenrollment taken ON taken.user_id = run.held_by AND taken.course_id = run.course_key
ORDER BY position, place;

-- One learner in twenty has a role assigned in advance, one in twenty of the former users holds one.
INSERT INTO program_enrollments_courseaccessroleassignment (role, enrollment_id, created, modified)
SELECT 'staff', pce.id, now(), now() FROM benchmark_course_run run
JOIN program_enrollments_programcourseenrollment pce
  ON pce.program_enrollment_id = run.enrollment_id AND pce.course_key = run.course_key
WHERE role = 3 AND place = 0 ORDER BY position;

INSERT INTO student_courseaccessrole (user_id, org, course_id, role)
SELECT held_by, 'BenchX', course_key, 'staff' FROM benchmark_course_run
WHERE role = 4 AND place = 0 AND held_by IS NOT NULL ORDER BY position;

DROP TABLE benchmark_course_run;

-- Other learners of the LMS, and an earlier job: without them some tables would be empty, and the planner would have no
-- statistics of them.
INSERT INTO student_courseenrollment (user_id, course_id, is_active, mode, created)
SELECT id, 'course-v1:BenchX+C' || (id + place) %% 20 || '+2026', true, 'audit', now()
FROM auth_user, unnest(ARRAY[0, 7]) AS place WHERE username LIKE 'bystander-%%' ORDER BY id, place;

INSERT INTO student_courseaccessrole (user_id, org, course_id, role)
SELECT id, 'BenchX', 'course-v1:BenchX+C' || id %% 20 || '+2026', 'staff'
FROM auth_user WHERE username LIKE 'bystander-%%' AND id %% 20 = 0;

INSERT INTO worker_learneroutcome
    (job_id, position, external_user_key, lms_username, slice, outcome, message, warnings, attempts, finished)
SELECT %(former_job)s, number, 'bystander-' || number, 'bystander-' || number, number / 1000, 'linked', '', '[]', 1, now()
FROM generate_series(0, %(bystanders)s - 1) AS number;

-- The learners that are linked one by one: in one program, and in a hundred.
INSERT INTO program_enrollments_programenrollment
    (external_user_key, program_uuid, curriculum_uuid, status, created, modified)
SELECT 'single-' || number, program, %(curriculum)s, 'enrolled', now(), now()
FROM generate_series(0, %(singles)s - 1) AS number, unnest(ARRAY[%(program_of_singles)s::uuid,
     ('b0000000-0000-4000-8001-' || to_char(number %% %(small_programs)s, 'FM000000000000'))::uuid]) AS program;

INSERT INTO program_enrollments_programcourseenrollment
    (program_enrollment_id, course_key, status, created, modified)
SELECT enrollment.id, 'course-v1:BenchX+C' || number || '+2026', 'active', now(), now()
FROM program_enrollments_programenrollment enrollment, unnest(ARRAY[1, 8]) AS number
WHERE external_user_key LIKE 'single-%%';
