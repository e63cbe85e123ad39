"""Django's backend for MySQL and MariaDB, which stores UUIDs as 32 hex digits on both.

On MariaDB, Django would compare UUIDs with dashes. An LMS has columns of 32 characters there, or, once its migrations
have converted them, of the type ``uuid``, which compares with 32 digits, too.
"""

from django.db.backends.mysql import base, features


class DatabaseFeatures(features.DatabaseFeatures):
    """What the servers can do, but for the type ``uuid``."""

    has_native_uuid_field = False


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection; Django loads it by this name."""

    features_class = DatabaseFeatures
