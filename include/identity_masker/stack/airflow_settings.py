"""Apply `airflow_settings.yaml` without the Astro CLI.

The file keeps the Astro format: entries with an empty name are skipped, as the CLI does. Connections and variables
become environment variables, so that nothing is stored twice; pools have no such form and go through
`airflow pools import`, always with `include_deferred`: a deferred task still owns its pod.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from identity_masker.documents import load_yaml
from identity_masker.errors import BadInputError
from identity_masker.settings import PROJECT

DEFAULT_PATH = PROJECT / "airflow_settings.yaml"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class ConnectionEntry(_Entry):
    """One connection: either a URI or its parts."""

    conn_id: str | None = None
    conn_type: str | None = None
    conn_host: str | None = None
    conn_schema: str | None = None
    conn_login: str | None = None
    conn_password: str | None = None
    conn_port: int | None = Field(default=None, ge=0, le=65535)
    conn_uri: str | None = None
    conn_extra: dict[str, Any] | str | None = None

    def text(self) -> str:
        """The value of `AIRFLOW_CONN_<ID>`: the URI, or a JSON object of the parts that are set."""
        if self.conn_uri:
            return self.conn_uri
        parts = {
            "conn_type": self.conn_type,
            "host": self.conn_host,
            "schema": self.conn_schema,
            "login": self.conn_login,
            "password": self.conn_password,
            "port": self.conn_port,
            "extra": self.conn_extra,
        }
        return json.dumps({name: value for name, value in parts.items() if value})


class PoolEntry(_Entry):
    """One pool. The Astro CLI skips a pool without slots; here it is an error."""

    pool_name: str | None = None
    pool_slot: int | None = Field(default=None, ge=-1)
    pool_description: str | None = None


class VariableEntry(_Entry):
    variable_name: str | None = None
    variable_value: str | None = None


class _Airflow(_Entry):
    connections: tuple[ConnectionEntry, ...] = ()
    pools: tuple[PoolEntry, ...] = ()
    variables: tuple[VariableEntry, ...] = ()


class AirflowSettings(_Entry):
    """The whole file."""

    airflow: _Airflow


def read(path: Path) -> AirflowSettings:
    """The validated content of `path`.

    Raises `NotFoundError` when there is no such file and `BadInputError` when it does not validate.
    """
    return load_yaml(AirflowSettings, path, "file of Airflow settings")


def environment(path: Path) -> dict[str, str]:
    """`AIRFLOW_CONN_*` and `AIRFLOW_VAR_*` for all connections and variables of `path`."""
    content = read(path).airflow
    connections = {f"AIRFLOW_CONN_{c.conn_id.upper()}": _connection(c, path) for c in content.connections if c.conn_id}
    variables = {
        f"AIRFLOW_VAR_{v.variable_name.upper()}": v.variable_value or "" for v in content.variables if v.variable_name
    }
    return connections | variables


def pools(path: Path) -> dict[str, dict[str, Any]]:
    """The pools of `path` as `airflow pools import` reads them."""
    return {p.pool_name: _pool(p, path) for p in read(path).airflow.pools if p.pool_name}


def _connection(entry: ConnectionEntry, path: Path) -> str:
    if not entry.conn_uri and not entry.conn_type:
        raise BadInputError(
            "a connection has no type", got=f"{entry.conn_id} in {path}", allowed="conn_type or conn_uri"
        )
    return entry.text()


def _pool(entry: PoolEntry, path: Path) -> dict[str, Any]:
    if not entry.pool_slot:
        raise BadInputError(
            "a pool has no slots", got=f"{entry.pool_name} in {path}", allowed="pool_slot of 1 or more, or -1"
        )
    return {"slots": entry.pool_slot, "description": entry.pool_description or "", "include_deferred": True}


if __name__ == "__main__":
    # For `airflow pools import`; connections and variables hold secrets and are not printed.
    json.dump(pools(DEFAULT_PATH), sys.stdout, indent=2)
