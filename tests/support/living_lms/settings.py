"""Django's settings of the small LMS; ``DATABASE_URL`` names its database."""

import os
from urllib.parse import urlsplit

_address = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "linking.sql.char_uuids",  # On MariaDB the tables have UUIDs as text.
        "HOST": _address.hostname,
        "PORT": _address.port,
        "USER": _address.username,
        "PASSWORD": _address.password or "",
        "NAME": _address.path.strip("/"),
        "OPTIONS": {"charset": "utf8mb4", "init_command": "SET sql_mode = 'STRICT_TRANS_TABLES'"},  # As Tutor has it.
    }
}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "simple_history",
    "tests.support.living_lms",
]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
SECRET_KEY = "only-for-tests"
SIMPLE_HISTORY_DATE_INDEX = False
USE_TZ = True
