"""Names of a person in rows and texts: theirs, and not those of others that look alike."""

import pytest

from worker.jobs.person import HIDDEN, Person


def test_rows_are_found_by_key_in_any_case_and_by_exact_username() -> None:
    person = Person("S-1", "ada")

    assert person.is_named("s-1", "anybody")
    assert person.is_named("other", "ada")
    assert not person.is_named("other", "Ada")
    assert person.is_named("ADA", "anybody")  # Each name may be a key.
    assert not person.is_named("s-10", "ada2")


@pytest.mark.parametrize("text", ["s-10", "xs-1", "as-1-b", "s-1@example.org", "s-1.2", "30dd-2024-11ab"])
def test_a_name_inside_another_word_is_another_name(text: str) -> None:
    assert not Person("s-1", "2024").is_in(f"No user found with username {text}")


@pytest.mark.parametrize("text", ["of s-1.", "username=s-1", "('s-1', 3)", "s-1: it, s-1; s-1", "s-1"])
def test_a_name_in_a_text_is_hidden(text: str) -> None:
    person = Person("s-1")

    assert person.is_in(text)
    assert person.hide(text) == text.replace("s-1", HIDDEN)
    assert not person.is_in(person.hide(text))


def test_a_name_that_begins_like_another_is_hidden_as_a_whole() -> None:
    assert Person("ann", "ann lee").hide("for ann lee") == f"for {HIDDEN}"


@pytest.mark.parametrize("names", [[], [""], ["  "], ["ada", None], [7]])
def test_what_is_no_name_is_refused_with_the_remedy(names: list[str]) -> None:
    with pytest.raises(ValueError, match="give external user keys and usernames of the person to forget"):
        Person(*names)
