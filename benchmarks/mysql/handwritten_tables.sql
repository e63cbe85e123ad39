-- The rows of one slice of variant E, in the memory of its session.
CREATE TEMPORARY TABLE slice_learner (
    position INT PRIMARY KEY, external_key VARCHAR(255), username VARCHAR(150), user_id INT, is_active BOOLEAN,
    enrollment_id BIGINT, former_id INT, stored_key VARCHAR(255), outcome VARCHAR(14)
);

CREATE TEMPORARY TABLE slice_run (
    id BIGINT PRIMARY KEY, position INT, user_id INT, is_active BOOLEAN, former_id INT, course_key VARCHAR(255),
    status VARCHAR(9), was_modified DATETIME(6), course_exists BOOLEAN,
    former_ce BIGINT, former_active BOOLEAN, former_mode VARCHAR(100), unlinked_mode VARCHAR(100),
    target BIGINT, target_active BOOLEAN, target_mode VARCHAR(100),
    is_active_now BOOLEAN DEFAULT NULL, mode_now VARCHAR(100) DEFAULT NULL
);

CREATE TEMPORARY TABLE slice_role (
    id BIGINT PRIMARY KEY, role VARCHAR(64), assigned DATETIME(6), run_id BIGINT, position INT, user_id INT,
    course_key VARCHAR(255), is_new BOOLEAN
);

CREATE TEMPORARY TABLE slice_warning (position INT PRIMARY KEY, warnings TEXT);
