"""A database backend of Django: MySQL and MariaDB with UUIDs as text."""
