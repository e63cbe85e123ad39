"""What can go wrong while linking.

LinkingException
└── CourseEnrollmentException
    └── NonExistentCourseError
"""


class LinkingException(Exception):  # noqa: N818 - the tree follows the names of Open edX
    """Root of the errors that linking raises on purpose."""


class CourseEnrollmentException(LinkingException):
    """A user could not be enrolled in a course run."""


class NonExistentCourseError(CourseEnrollmentException):
    """The course run of a program course enrollment does not exist.

    Raised without a text: the learner's message is the bare name of the class (``linking.md``, *Messages*).
    """
