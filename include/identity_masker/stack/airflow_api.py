"""A client of Airflow's REST API (v2) with what the stack needs: health, trigger, follow."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from identity_masker.errors import BadInputError, NotFoundError, TemporaryError

READ_ATTEMPTS = 5
FINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


@dataclass(frozen=True)
class Run:
    """One DAG run."""

    dag_id: str
    run_id: str


@dataclass(frozen=True)
class Task:
    """One task instance of a run."""

    name: str
    state: str
    seconds: float
    try_number: int
    map_index: int


@dataclass(frozen=True)
class DagState:
    """A DAG, and when its next run is due; None without a schedule by time."""

    dag_id: str
    paused: bool
    next_run: datetime | None


class AirflowApi:
    """Calls to one Airflow as one user. The token is fetched at the first call and again when it has expired."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=20)
        self._login = {"username": username, "password": password}
        self._token = ""

    def close(self) -> None:
        self._http.close()

    def healthy(self) -> dict[str, str]:
        """Component → status as Airflow's monitor reports it; empty while the API does not answer."""
        try:
            response = self._http.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return {}
        if response.status_code != httpx.codes.OK:
            return {}
        return {name: part["status"] for name, part in response.json().items() if part.get("status")}

    def has_dag(self, dag_id: str) -> bool:
        return self._request("GET", f"/api/v2/dags/{dag_id}").status_code == httpx.codes.OK

    def import_errors(self) -> list[str]:
        """File and last line of every DAG that does not import."""
        found = self._json("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{item['filename']}: {item['stack_trace'].strip().splitlines()[-1]}" for item in found]

    def dags(self) -> list[DagState]:
        """All DAGs that Airflow has parsed and not lost again."""
        rows = self._json("GET", "/api/v2/dags", params={"limit": 100})["dags"]
        return [
            DagState(
                row["dag_id"],
                row["is_paused"],
                datetime.fromisoformat(due) if (due := row.get("next_dagrun_run_after")) else None,
            )
            for row in rows
        ]

    def newest_runs(self, dag_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest runs as the API gives them, newest first; the newest that succeeded is among them, if any did."""
        path, newest = f"/api/v2/dags/{dag_id}/dagRuns", {"order_by": "-run_after", "limit": limit}
        found: list[dict[str, Any]] = self._json("GET", path, params=newest)["dag_runs"]
        if len(found) == limit and all(run["state"] != "success" for run in found):
            found += self._json("GET", path, params={**newest, "limit": 1, "state": "success"})["dag_runs"]
        return found

    def pools(self) -> dict[str, dict[str, int]]:
        """Pool → slots: total, running, queued, open."""
        rows = self._json("GET", "/api/v2/pools", params={"limit": 100})["pools"]
        names = {"total": "slots", "running": "running_slots", "queued": "queued_slots", "open": "open_slots"}
        return {row["name"]: {state: row[name] for state, name in names.items()} for row in rows}

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> Run:
        """Start a run. Raises `BadInputError` with Airflow's words when a parameter does not validate."""
        body = {"logical_date": None, "conf": conf}
        response = self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        if response.status_code == httpx.codes.BAD_REQUEST:
            raise BadInputError(f"Airflow refused the parameters of {dag_id}", got=response.json().get("detail"))
        return Run(dag_id, self._checked(response)["dag_run_id"])

    def run_state(self, run: Run) -> str:
        state: str = self._json("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}")["state"]
        return state

    def active_runs(self, dag_id: str) -> int:
        """How many runs of a DAG are queued or running."""
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        found: int = self._json("GET", path, params={"state": ["queued", "running"]})["total_entries"]
        return found

    def tasks(self, run: Run) -> list[Task]:
        rows = self._json("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")["task_instances"]
        return [
            Task(row["task_id"], row["state"] or "none", row["duration"] or 0.0, row["try_number"], row["map_index"])
            for row in rows
        ]

    def xcom(self, run: Run, task_id: str) -> Any:
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._json("GET", path, params={"deserialize": "false", "stringify": "false"})["value"]

    def announced(self, run: Run) -> bool:
        """Whether `run` made an asset event; also where Airflow cannot tell at this moment (see `started_by`)."""
        events = self._asset_events(run)
        return events is None or bool(events)

    def started_by(self, run: Run) -> list[Run]:
        """The runs that the asset events of `run` started.

        Airflow 3.3 answers 500 between making a run and starting it: its reply demands a start date.
        """
        events = self._asset_events(run) or []
        found = {Run(made["dag_id"], made["run_id"]): None for event in events for made in event["created_dagruns"]}
        return list(found)

    def _asset_events(self, run: Run) -> list[dict[str, Any]] | None:
        query = {"source_dag_id": run.dag_id, "source_run_id": run.run_id}
        response = self._request("GET", "/api/v2/assets/events", params=query)
        if response.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            return None
        events: list[dict[str, Any]] = self._checked(response)["asset_events"]
        return events

    def log_tail(self, run: Run, task: Task, lines: int = 15) -> str:
        """The last lines of a task's log."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task.name}/logs/{task.try_number}"
        response = self._request("GET", path, params={"full_content": "true"}, headers={"accept": "application/json"})
        if response.status_code != httpx.codes.OK:
            return ""
        content = response.json().get("content", [])
        text = [item["event"] if isinstance(item, dict) else str(item) for item in content]
        return "\n".join(line for line in text[-lines:] if not re.match(r"::(end)?group::", line))

    def _json(self, method: str, path: str, **more: Any) -> Any:
        """The document that was asked for. Reading is repeated: on SQLite a busy database answers 500."""
        response = self._request(method, path, **more)
        for attempt in range(1, READ_ATTEMPTS):
            if method != "GET" or not response.is_server_error:
                break
            time.sleep(attempt)
            response = self._request(method, path, **more)
        return self._checked(response)

    def _checked(self, response: httpx.Response) -> Any:
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError("Airflow does not know this", got=response.url.path)
        if response.is_error:
            raise TemporaryError("Airflow's API refused a call", got=f"{response.status_code} {response.text[:300]}")
        return response.json()

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One answer. Reading is repeated: a busy machine may keep the API from answering for a while."""
        attempts = READ_ATTEMPTS if method == "GET" else 1
        for attempt in range(1, attempts + 1):
            try:
                response = self._authorised(method, path, **more)
                if response.status_code == httpx.codes.UNAUTHORIZED:
                    self._token = ""
                    response = self._authorised(method, path, **more)
            except httpx.TransportError as error:
                if attempt == attempts:
                    got = f"{self._http.base_url}: {error}"
                    raise TemporaryError("Airflow's API does not answer", got=got) from error
                time.sleep(attempt)
            else:
                break
        return response

    def _authorised(self, method: str, path: str, **more: Any) -> httpx.Response:
        if not self._token:
            reply = self._http.post("/auth/token", json=self._login)
            if reply.status_code != httpx.codes.CREATED:
                raise TemporaryError("Airflow refused the login", got=f"{reply.status_code} {reply.text[:200]}")
            self._token = reply.json()["access_token"]
        headers = {"authorization": f"Bearer {self._token}", **more.pop("headers", {})}
        return self._http.request(method, path, headers=headers, **more)
