-- A ledger with a history: %(jobs)s ended jobs of the last 80 days. Every hundredth job is large, the others have one
-- learner. Without indexes on learners meanwhile, which takes a third of the time.
ALTER TABLE worker_learneroutcome DROP CONSTRAINT learneroutcome_unique;
ALTER TABLE worker_learneroutcome DROP CONSTRAINT worker_learneroutcome_pkey;

CREATE TEMPORARY TABLE history AS
SELECT n, md5('job ' || n)::uuid AS id, md5('program ' || n %% 1000)::uuid AS program,
    now() - interval '80 days' * (1 - n::float8 / %(jobs)s) - interval '1 hour' AS at,
    CASE WHEN n %% 100 = 0 THEN %(large)s ELSE 1 END AS total,
    CASE WHEN n %% 500 = 1 THEN 'failed' WHEN n %% 200 = 2 THEN 'cancelled' WHEN n %% 100 = 3 THEN 'refused' ELSE 'done' END
        AS state
FROM generate_series(1, %(jobs)s) n;

INSERT INTO worker_linkingjob (id, program_uuid, state, options, digest, source, total, created, started, finished,
    dispatched, announced, resumes, waits_for, reply, counts, errors_cut, message)
SELECT id, program, state, jsonb_build_object('dry_run', n %% 50 = 4), md5(n::text),
    CASE WHEN n %% 100 = 0 THEN 'roster-' || n || '.csv' ELSE '' END, total, at, at, at + interval '1 second', at,
    at + interval '1 second', 0, '[]', '{}', jsonb_build_object('linked', total), false, ''
FROM history;
UPDATE worker_linkingjob SET undoes_id = md5('job ' || (n - 1))::uuid FROM history
WHERE history.id = worker_linkingjob.id AND n %% 200 = 5;

INSERT INTO worker_jobslice (job_id, number, total, first, last, counts, attempts, started, touched, finished)
SELECT id, part, least(1000, total - part * 1000), part * 1000, least(total, (part + 1) * 1000) - 1,
    jsonb_build_object('linked', least(1000, total - part * 1000)), 0, at, at, at + interval '1 second'
FROM history, generate_series(0, (total - 1) / 1000) part;

INSERT INTO worker_learneroutcome
    (job_id, position, external_user_key, lms_username, slice, outcome, message, warnings, attempts, finished)
SELECT id, position, 'key-' || position, 'learner-' || position, position / 1000, 'linked', '', '[]', 1, at
FROM history, generate_series(0, total - 1) position;

INSERT INTO django_celery_results_taskresult (task_id, task_name, status, content_type, content_encoding, result,
    date_created, date_done, worker)
SELECT id, 'linking.finish_job', 'SUCCESS', 'application/json', 'utf-8', '{}', at, at, 'worker@host'
FROM history WHERE at > now() - interval '7 days';

ALTER TABLE worker_learneroutcome ADD CONSTRAINT worker_learneroutcome_pkey PRIMARY KEY (id);
ALTER TABLE worker_learneroutcome ADD CONSTRAINT learneroutcome_unique UNIQUE (job_id, position);
DROP TABLE history;
