"""The exceptions of linking. The docstring of each is its default message.

LinkingException
├── StaleReadError
└── CourseEnrollmentException
    └── NonExistentCourseError
"""


class LinkingException(Exception):  # noqa: N818 - the tree follows the names of Open edX
    """Linking failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(self.__doc__ if message is None else message)


class StaleReadError(LinkingException):
    """Another transaction inserted a course enrollment after this one had read: run again."""


class CourseEnrollmentException(LinkingException):
    """The user could not be enrolled in a course run."""


class NonExistentCourseError(CourseEnrollmentException):
    """The course run of a program course enrollment does not exist.

    The message is empty: the learner's message is the bare name of the class, as in Open edX.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
