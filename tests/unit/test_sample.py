"""The sample program is always the same, and its mapping is the file in the repository."""

from samples.program import AUDITED, MAPPING_FILE, mapping_csv, sample_program

SAMPLE = sample_program()


def test_the_generator_gives_the_bytes_of_the_file_in_the_repository() -> None:
    assert MAPPING_FILE.read_bytes() == mapping_csv(SAMPLE).encode()


def test_another_seed_gives_another_program_with_the_same_outcomes() -> None:
    other = sample_program(seed=1)
    assert SAMPLE.mapping != other.mapping
    assert SAMPLE.expected == other.expected


def test_every_learner_of_the_mapping_has_an_expected_outcome() -> None:
    assert len(SAMPLE.mapping) == 2_000
    assert SAMPLE.expected.total() == 2_000


def test_usernames_without_a_user_are_those_expected_to_be_missing() -> None:
    usernames = {user.username for user in SAMPLE.users}
    assert len(usernames) == len(SAMPLE.users)
    assert sum(username not in usernames for username in SAMPLE.mapping.values()) == SAMPLE.expected["no_user"] == 30


def test_keys_without_an_enrollment_are_those_expected_to_be_missing() -> None:
    stored = {enrollment.key for enrollment in SAMPLE.enrollments}
    assert len(stored) == len(SAMPLE.enrollments) == 2_000
    others = [key for key in SAMPLE.mapping if key not in stored]
    differing_in_case = [key for key in others if key.lower() in stored]
    assert len(differing_in_case) == 80
    assert len(others) - len(differing_in_case) == SAMPLE.expected["no_enrollment"] == 20


def test_relinks_include_course_runs_with_audit_and_course_runs_without() -> None:
    holders = {enrollment.key: enrollment for enrollment in SAMPLE.enrollments if enrollment.holder}
    relinks = [
        holders[key] for key, username in SAMPLE.mapping.items() if key in holders and holders[key].holder != username
    ]
    offering_audit = {course in AUDITED for enrollment in relinks for course in enrollment.courses}
    assert offering_audit == {True, False}


def test_a_swap_has_each_of_two_enrollments_after_the_other_ones_account() -> None:
    holder_by_key = {enrollment.key: enrollment.holder for enrollment in SAMPLE.enrollments if enrollment.holder}
    wanted = {(holder, SAMPLE.mapping[key]) for key, holder in holder_by_key.items() if SAMPLE.mapping[key] != holder}
    assert sum((taken, given) in wanted for given, taken in wanted) == 2 * 5
