-- The history that variant E writes beside an LMS, in the slice's transaction: one row for each row that changed.
INSERT INTO program_enrollments_historicalprogramenrollment
    (id, created, modified, external_user_key, program_uuid, curriculum_uuid, status, user_id,
     history_date, history_change_reason, history_type)
SELECT pe.id, pe.created, pe.modified, pe.external_user_key, pe.program_uuid, pe.curriculum_uuid, pe.status, pe.user_id,
       NOW(6), %(reason)s, '~'
FROM slice_learner learner STRAIGHT_JOIN program_enrollments_programenrollment pe ON pe.id = learner.enrollment_id
WHERE learner.outcome IN ('linked', 'relinked');

INSERT INTO program_enrollments_historicalprogramcourseenrollment
    (id, created, modified, course_key, status, course_enrollment_id, program_enrollment_id,
     history_date, history_change_reason, history_type)
SELECT pce.id, pce.created, pce.modified, pce.course_key, pce.status, pce.course_enrollment_id, pce.program_enrollment_id,
       NOW(6), %(reason)s, '~'
FROM slice_run run STRAIGHT_JOIN program_enrollments_programcourseenrollment pce ON pce.id = run.id;

INSERT INTO student_courseenrollment_history
    (id, created, is_active, mode, course_id, user_id, history_id, history_date, history_change_reason, history_type)
SELECT ce.id, ce.created, ce.is_active, ce.mode, ce.course_id, ce.user_id, REPLACE(UUID(), '-', ''),
       NOW(6), %(reason)s, '~'
FROM slice_run run STRAIGHT_JOIN student_courseenrollment ce ON ce.id = run.former_ce
WHERE run.former_active OR run.former_mode <> run.unlinked_mode;

INSERT INTO student_courseenrollment_history
    (id, created, is_active, mode, course_id, user_id, history_id, history_date, history_change_reason, history_type)
SELECT ce.id, ce.created, ce.is_active, ce.mode, ce.course_id, ce.user_id, REPLACE(UUID(), '-', ''),
       NOW(6), %(reason)s, IF(run.target_mode IS NULL, '+', '~')
FROM slice_run run STRAIGHT_JOIN student_courseenrollment ce ON ce.id = run.target
WHERE run.target_mode IS NULL OR run.target_mode <> ce.mode OR run.target_active <> ce.is_active;

INSERT INTO student_courseaccessrolehistory
    (created, modified, user_id, org, course_id, role, action_type)
SELECT NOW(6), NOW(6), user_id, SUBSTRING_INDEX(SUBSTRING(course_key, 11), '+', 1), course_key, role, 'created'
FROM slice_role WHERE is_new;

UPDATE slice_run run STRAIGHT_JOIN auth_user lms_user ON lms_user.id = run.user_id
STRAIGHT_JOIN student_courseenrollmentallowed allowed
  ON allowed.email = lms_user.email AND allowed.course_id = run.course_key
SET allowed.user_id = run.user_id WHERE allowed.user_id IS NULL AND run.target_mode IS NULL;
