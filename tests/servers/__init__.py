"""Real servers for the tests: private ports, temporary data folders, loopback only, gone when the tests are.

What belongs here: starting, killing and restarting PostgreSQL, MariaDB and an S3 server from the system's own binaries, and MLflow's from the environment. What does not: fixtures
(`tests/conftest.py`) and tables.
"""

from tests.servers.mariadb import MariaDBServer
from tests.servers.mlflow import MlflowServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import Server, ServerMissing
from tests.servers.s3 import S3Server

__all__ = ["MariaDBServer", "MlflowServer", "PostgresServer", "S3Server", "Server", "ServerMissing"]
