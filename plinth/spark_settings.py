"""The section `spark` of `platform.yaml`: where Spark runs, and with which jars.

What belongs here: the keys, their bounds and defaults. What does not: the session (`plinth.spark`), and how much memory and how many cores a
step gets, which its profile says.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DELTA_PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"
"""The reference Delta for the Spark that is pinned in pyproject.toml; both change together (docs/dependencies.md)."""
POSTGRES_DRIVER = "org.postgresql:postgresql:42.7.14"
MARIADB_DRIVER = "org.mariadb.jdbc:mariadb-java-client:3.5.11"
"""The JDBC drivers by which bronze tables are read; MariaDB's reads MySQL as well, under a licence (LGPL) that an image may carry."""

_MASTER = re.compile(r"local(\[(\*|\d+)(, ?\d+)?\])?|spark://\S+|k8s://\S+|yarn")


class Spark(BaseModel):
    """Settings of the Spark sessions that steps of a profile with `engine: spark` open.

    Attributes:
        master: `local[*]` (as many threads as the profile says), `spark://host:port` (standalone) or `k8s://https://host:port`.
        remote: `sc://host:port` of a Spark Connect server, instead of `master`; `remote_env` names the variable that holds it, where it
            carries a token.
        packages: Maven coordinates of the jars, fetched when a session starts: Delta's, and the drivers of JDBC.
        jars: a folder whose jars are used instead of `packages`, for machines without a way to Maven Central.
        conf: further settings of Spark, as they are; they win over what the platform sets.
        connect_timeout: seconds within which the Connect server has to open its port.
        jdbc_sessions: how many sessions may read one legacy table at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    master: str = "local[*]"
    remote: str | None = None
    remote_env: str | None = None
    packages: tuple[str, ...] = (DELTA_PACKAGE, POSTGRES_DRIVER, MARIADB_DRIVER)
    jars: str | None = None
    conf: dict[str, str] = {}
    connect_timeout: float = Field(default=5, gt=0)
    jdbc_sessions: int = Field(default=8, ge=1)

    @field_validator("master")
    @classmethod
    def _known_master(cls, value: str) -> str:
        if not _MASTER.fullmatch(value):
            raise ValueError(
                f"local[*], local[N], spark://host:port, k8s://https://host:port or yarn is expected, found {value!r}"
            )
        return value

    @field_validator("conf", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        # YAML's true and 2 are what people write; Spark wants texts.
        if isinstance(value, dict):
            return {key: str(each).lower() if isinstance(each, bool) else str(each) for key, each in value.items()}
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Spark:
        if self.remote is not None and self.remote_env is not None:
            raise ValueError("only one of remote and remote_env is expected")
        if self.remote is not None and not self.remote.startswith("sc://"):
            raise ValueError(f"remote: sc://host:port is expected, found {self.remote!r}")
        if self.remote is not None and "token=" in urlsplit(self.remote).path:
            raise ValueError("a token stands in remote: name the variable that holds the address in remote_env instead")
        if (self.remote or self.remote_env) and self.master != "local[*]":
            raise ValueError("only one of master and remote is expected")
        wrong = [key for key in self.conf if not key.startswith("spark.")]
        if wrong:
            raise ValueError(f"conf: keys that start with spark. are expected, found {', '.join(wrong)}")
        return self

    @property
    def connects(self) -> bool:
        """Whether sessions are those of a Spark Connect server."""
        return self.remote is not None or self.remote_env is not None
