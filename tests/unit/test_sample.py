"""The sample program is always the same, and its mapping is the file in the repository."""

from samples.program import AUDITED, MAPPING_FILE, mapping_csv, sample_program


def test_the_generator_gives_the_bytes_of_the_file_in_the_repository() -> None:
    assert MAPPING_FILE.read_bytes() == mapping_csv(sample_program()).encode()


def test_another_seed_gives_another_program_with_the_same_outcomes() -> None:
    one, other = sample_program(), sample_program(seed=1)
    assert one.mapping != other.mapping
    assert one.expected == other.expected


def test_every_learner_of_the_mapping_has_an_expected_outcome() -> None:
    sample = sample_program()
    assert len(sample.mapping) == 2_000
    assert sample.expected.total() == 2_000


def test_usernames_without_a_user_are_those_expected_to_be_missing() -> None:
    sample = sample_program()
    usernames = {user.username for user in sample.users}
    assert len(usernames) == len(sample.users)
    assert sum(username not in usernames for username in sample.mapping.values()) == sample.expected["no_user"] == 30


def test_keys_without_an_enrollment_are_those_expected_to_be_missing() -> None:
    sample = sample_program()
    stored = {enrollment.key for enrollment in sample.enrollments}
    assert len(stored) == len(sample.enrollments) == 2_000
    others = [key for key in sample.mapping if key not in stored]
    differing_in_case = [key for key in others if key.lower() in stored]
    assert len(differing_in_case) == 80
    assert len(others) - len(differing_in_case) == sample.expected["no_enrollment"] == 20


def test_relinks_include_course_runs_with_audit_and_course_runs_without() -> None:
    sample = sample_program()
    holders = {enrollment.key: enrollment for enrollment in sample.enrollments if enrollment.holder}
    relinks = [
        holders[key] for key, username in sample.mapping.items() if key in holders and holders[key].holder != username
    ]
    offering_audit = {course in AUDITED for enrollment in relinks for course in enrollment.courses}
    assert offering_audit == {True, False}


def test_a_swap_has_each_of_two_enrollments_after_the_other_ones_account() -> None:
    sample = sample_program()
    holder_by_key = {enrollment.key: enrollment.holder for enrollment in sample.enrollments if enrollment.holder}
    wanted = {(holder, sample.mapping[key]) for key, holder in holder_by_key.items() if sample.mapping[key] != holder}
    assert sum((taken, given) in wanted for given, taken in wanted) == 2 * 5
