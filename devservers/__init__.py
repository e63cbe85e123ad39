"""Private servers for the demo, the tests and the benchmarks: PostgreSQL, Redis, workers, beat, Flower, the web server.

PostgreSQL and Redis come from Python wheels: nothing else needs to be installed. MySQL and MariaDB are the system's;
RabbitMQ runs in Docker. Each server has a temporary folder and ends with the process that started it
(:mod:`devservers.process_guard`). The installed package does not contain them.
"""

from devservers.application import Beat, FlowerServer, WebServer, WorkerProcess
from devservers.broker import RedisServer
from devservers.mysql import MariaDBServer, MySQLServer
from devservers.postgresql import PostgresServer
from devservers.rabbitmq import RabbitMQServer
from devservers.server import Server
