"""Ids that tests share."""

from uuid import UUID

from opaque_keys.edx.keys import CourseKey

PROGRAM = UUID("abcdef11-1111-4111-8111-111111111111")
OTHER_PROGRAM = UUID("22222222-2222-4222-8222-222222222222")
CURRICULUM = UUID("33333333-3333-4333-8333-333333333333")
OTHER_CURRICULUM = UUID("44444444-4444-4444-8444-444444444444")

ALGEBRA = CourseKey.from_string("course-v1:Org+Algebra+2024")
BIOLOGY = CourseKey.from_string("course-v1:Org+Biology+2024")
