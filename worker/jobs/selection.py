"""Learners of a job by what an operator looks for, and the user that a relink takes an enrollment from."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import BigIntegerField, Case, OuterRef, Q, QuerySet, Subquery, TextField, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Concat, NullIf

from linking.bulk import FAILURES, Outcome

if TYPE_CHECKING:
    from worker.models import LearnerOutcome

FORMER_USER_ID = Cast(NullIf(KT("before__user__0"), Value("null")), BigIntegerField())  # MySQL's null is a text.
"""The id of the user that a learner's linking took the program enrollment from, null where it was waiting."""
FAILED, CHANGES_HANDS, WARNED = "failures", "changes_hands", "warnings"
"""Selections of learners beside the outcomes."""
SELECTIONS = {
    FAILED: Q(outcome__in=sorted(FAILURES)),
    CHANGES_HANDS: Q(outcome=Outcome.RELINKED),
    WARNED: ~Q(warnings=[]),
}
"""Conditions of the selections. Each is checked row by row along the index of job and position."""


def select(learners: "QuerySet[LearnerOutcome, Any]", name: str) -> "QuerySet[LearnerOutcome, Any]":
    """Return the learners of a selection, or those with an outcome; all for an empty name."""
    return learners.filter(SELECTIONS.get(name, Q(outcome=name))) if name else learners


def search(learners: "QuerySet[LearnerOutcome, Any]", text: str) -> "QuerySet[LearnerOutcome, Any]":
    """Return the learners whose key or username begins with a text, or whose former user has exactly this username."""
    model = get_user_model()
    found = Q(external_user_key__startswith=text) | Q(lms_username__startswith=text)
    for user in model.objects.filter(**{model.USERNAME_FIELD: text}):
        found |= Q(outcome=Outcome.RELINKED, former_user_id=user.pk)
    return learners.alias(former_user_id=FORMER_USER_ID).filter(found)


def with_former_username(learners: "QuerySet[LearnerOutcome, Any]") -> "QuerySet[LearnerOutcome, Any]":
    """Annotate ``taken_from``: the username of the user that a relink takes the enrollment from, null for others.

    It is the user's present name; of a user that exists no more, the id.
    """
    model = get_user_model()
    name = model.objects.filter(pk=OuterRef("former_user_id")).values(model.USERNAME_FIELD)[:1]
    of_deleted = Concat(Value("user id "), KT("before__user__0"), output_field=TextField())
    former = Coalesce(Subquery(name), of_deleted, output_field=TextField())
    # Only relinks look up a user: the report of a million learners asks for each row.
    return learners.alias(former_user_id=FORMER_USER_ID).annotate(
        taken_from=Case(When(outcome=Outcome.RELINKED, then=former), output_field=TextField())
    )
