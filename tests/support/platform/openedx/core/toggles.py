"""Flags of the platform."""

from typing import Any


class CourseWaffleFlag:
    """A flag that is on for some course runs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def is_enabled(self, course_key: Any) -> bool:
        from openedx.core.djangoapps.waffle_utils.models import WaffleFlagCourseOverrideModel

        overrides = WaffleFlagCourseOverrideModel.objects.current_set().filter(waffle_flag=self.name)
        return bool(overrides.filter(course_id=str(course_key), override_choice="on", enabled=True).exists())


AUTHZ_COURSE_AUTHORING_FLAG = CourseWaffleFlag("authz.enable_course_authoring")
