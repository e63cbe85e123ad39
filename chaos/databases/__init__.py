"""The databases that chaos runs on, by the name that ``--database`` takes."""

from chaos.databases.interface import Database
from chaos.databases.mysql import MariaDB, MySQL
from chaos.databases.postgresql import PostgreSQL

DATABASES: dict[str, type[Database]] = {"postgresql": PostgreSQL, "mysql": MySQL, "mariadb": MariaDB}
