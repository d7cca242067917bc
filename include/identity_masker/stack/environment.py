"""The environment of every process of the embedded stack, made from the settings and the home."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from identity_masker.settings import PROJECT, Settings
from identity_masker.stack import airflow_settings
from identity_masker.stack.home import Home


def processes(config: Settings, home: Home) -> dict[str, str]:
    """Everything a process needs.

    What this process was started with wins over `airflow_settings.yaml`, so that
    `AIRFLOW_VAR_MASKER_MODEL=masker-tiny make run` does what it says; the home's own places win over both.
    """
    return {
        **airflow_settings.environment(PROJECT / "airflow_settings.yaml"),
        **os.environ,
        **_tools(),
        **_masker(config, home),
        **_mlflow(config),
        **_airflow(config, home),
    }


def _tools() -> dict[str, str]:
    """`airflow` starts itself by name, so the environment's programs must be on PATH."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        # Spinning OpenMP threads of several processes on shared cores cost up to 20 times the work itself.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _masker(config: Settings, home: Home) -> dict[str, str]:
    return {
        "MASKER_HOME": str(home.root),
        "MASKER_CONFIG_DIR": str(config.config_dir),
        "MASKER_STORE_URI": config.store,
        "MASKER_MLFLOW_URI": config.tracking_uri,
        "MASKER_CONTROL_DB": config.control_url,
        "MASKER_HOST": config.host,
        "MASKER_MLFLOW_PORT": str(config.mlflow_port),
        "MASKER_GATEWAY_PORT": str(config.gateway_port),
        "MASKER_ALERTS_PORT": str(config.alerts_port),
        "MASKER_SERVER_PORT": str(config.server_port),
        "MASKER_AIRFLOW_PORT": str(config.airflow_port),
        "MASKER_FLEET_PORT": str(config.fleet_port),
        "MASKER_EXPORTER_PORT": str(config.exporter_port),
        "MASKER_EVENTS_DIR": str(config.events),
        "MASKER_MASK_KEY": home.secrets()["mask_key"],
        "MASKER_UNIT_KEY": home.secrets()["unit_key"],
    }


def _mlflow(config: Settings) -> dict[str, str]:
    return {
        "MLFLOW_BACKEND": f"sqlite:///{config.home}/mlflow.db",
        "MLFLOW_ARTIFACTS": f"{config.home}/mlflow",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nothing here uses jobs; their eight consumers take 2 GB
        "MLFLOW_DISABLE_TELEMETRY": "true",  # its thread changes os.environ and can crash a concurrent request
    }


def _airflow(config: Settings, home: Home) -> dict[str, str]:
    secrets = home.secrets()
    base = f"http://{config.host}:{config.airflow_port}"
    return {
        "AIRFLOW_HOME": str(home.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__FERNET_KEY": secrets["fernet_key"],
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.airflow / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.airflow}/airflow.db",
        "AIRFLOW__API__HOST": config.host,
        "AIRFLOW__API__PORT": str(config.airflow_port),
        "AIRFLOW__API__BASE_URL": base,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets["api_secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets["jwt_secret"],
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(config.airflow_log_port),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(config.airflow_log_port + 1),
        "AIRFLOW_CONN_MASKER_GATEWAY": f"http://{config.host}:{config.gateway_port}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
