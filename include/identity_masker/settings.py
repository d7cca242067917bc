"""The one reader of the environment: every `MASKER_*` variable, its type and its default."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, computed_field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from identity_masker.errors import BadInputError

PROJECT = Path(__file__).resolve().parents[2]


class StepIdentity(BaseSettings):
    """Which Airflow task instance this process works for; empty when a person runs the command."""

    model_config = SettingsConfigDict(env_prefix="MASKER_STEP_", frozen=True)

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    try_number: int = 1

    @property
    def known(self) -> bool:
        return bool(self.dag_id and self.run_id and self.task_id)

    def key(self) -> str:
        """`dag/run/task/map/try`, the key under which the step's result is stored."""
        return f"{self.dag_id}/{self.run_id}/{self.task_id}/{self.map_index}/{self.try_number}"


class Settings(BaseSettings):
    """Where things live and on which ports they listen. Every default suits one machine without containers."""

    model_config = SettingsConfigDict(env_prefix="MASKER_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".masker"), description="Folder of all state on this machine.")
    config_dir: Path = Field(default=PROJECT / "include" / "config", description="Folder of the YAML people edit.")
    store_uri: str = Field(
        default="", description="Root of datasets and step results; folder or s3://; default HOME/store."
    )
    events_dir: Path | None = Field(
        default=None, description="Folder that servers append events to, shared with who compacts; default HOME/events."
    )
    mlflow_uri: str = Field(default="", description="MLflow tracking server; default http://HOST:MLFLOW_PORT.")
    control_db: str = Field(default="", description="SQLAlchemy URL of the control database; default SQLite in HOME.")

    host: str = Field(default="127.0.0.1", description="Address that servers listen on.")
    airflow_port: int = Field(default=8080, ge=1, le=65535)
    airflow_log_port: int = Field(
        default=8793, ge=1, le=65534, description="Scheduler's log port; the triggerer's is the next."
    )
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    gateway_port: int = Field(default=8000, ge=1, le=65535)
    gateway_admin_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Where gateways serve metrics and operations apart from the public; none: on the public port.",
    )
    gateway_url: str = Field(
        default="",
        description="Where releases read metrics: all gateways, separated by commas, or dns+http://NAME:PORT for all "
        "addresses of a name; default http://HOST:GATEWAY_PORT.",
    )
    examiner: str = Field(
        default="registry",
        description="Who scores answers in the gateway: `registry`, a folder, or nothing for none.",
    )
    quality_share: float = Field(default=0.25, ge=0, le=1, description="Share of the answers that are scored.")
    quality_rate: float = Field(default=4.0, gt=0, description="Answers a second that are scored at most, per version.")
    server_port: int = Field(default=8100, ge=1, le=65000, description="First port of the model servers of the fleet.")
    target: Literal["local", "kubernetes"] = Field(
        default="local", description="Model servers are processes here, or pods of the cluster of KUBECONFIG."
    )
    serving_namespace: str = Field(default="masker", description="Where the pods of the model servers run.")
    serving_image: str = Field(default="", description="Image of the model servers; default that of serving.yaml.")
    fleet_port: int = Field(default=9101, ge=1, le=65535, description="Metrics of the fleet.")
    exporter_port: int = Field(default=9102, ge=1, le=65535, description="Metrics made of recorded state.")
    prometheus_port: int = Field(default=9095, ge=1, le=65535, description="Prometheus, where it is installed.")
    node_exporter_port: int = Field(
        default=9105, ge=1, le=65535, description="Prometheus's node exporter, where it is installed."
    )
    alertmanager_port: int = Field(default=9096, ge=1, le=65535, description="Alertmanager, where it is installed.")
    pushgateway_port: int = Field(default=9097, ge=1, le=65535, description="Pushgateway, where it is installed.")
    pushgateway_url: str = Field(
        default="", description="Where steps push what they used: a Prometheus Pushgateway; nothing for nowhere."
    )
    airflow_url: str = Field(default="", description="Airflow's REST API; default http://HOST:AIRFLOW_PORT.")
    airflow_user: str = Field(default="admin", description="Who asks Airflow's REST API.")
    airflow_password: SecretStr = Field(
        default=SecretStr(""), description="Their password; default that of the embedded stack of this home."
    )

    alerts_port: int = Field(default=8020, ge=1, le=65535)
    alerts_token: SecretStr | None = Field(default=None, min_length=8, description="What Alertmanager has to present.")
    slack_token: SecretStr | None = Field(default=None, min_length=1, description="Bot token with chat:write.")
    slack_url: str = Field(default="https://slack.com/api/", description="Slack's API.")
    smtp_host: str = Field(default="", description="Mail server of the alerts; empty for none.")
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_from: str = Field(default="", description="Sender of alerts.")
    smtp_to: str = Field(default="", description="Recipients, separated by commas.")
    webhook_url: SecretStr | None = Field(default=None, min_length=1, description="Endpoint that gets alerts as JSON.")
    webhook_secret: SecretStr | None = Field(default=None, min_length=16, description="Key of its HMAC-SHA256.")

    mask_key: SecretStr = Field(
        default=SecretStr("development-only"),
        min_length=8,
        description="Secret that decides which fictitious face a key gets; set your own in production.",
    )
    unit_key: SecretStr = Field(
        default=SecretStr("development-only"),
        min_length=8,
        description="Secret that user ids are hashed with before they are written; a new one makes new users of all.",
    )
    example_seconds: float = Field(
        default=30.0,
        ge=0,
        description="Between two masked pictures that a gateway keeps for reports on drift; 0 keeps none.",
    )
    example_days: int = Field(default=14, ge=1, description="Days that kept masked pictures stay in the store.")
    sample_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the pictures with the header x-sample-consent that are kept; 0 keeps none.",
    )
    sample_days: int = Field(default=30, ge=1, description="Days that pictures kept with consent stay in the store.")
    auth: Literal["off", "required"] = Field(
        default="off", description="Whether requests and releases need a token; docs/security.md."
    )
    jwks: str = Field(
        default="", description="Public keys of tokens: a file, a folder of keys or an address; default HOME/keys."
    )
    redis_url: SecretStr | None = Field(
        default=None, description="Redis that gateways count quotas in together; without one each counts for itself."
    )
    online_store: SecretStr | None = Field(
        default=None, description="Redis of the features that gateways look up; default a SQLite file in HOME."
    )
    lookup_seconds: float = Field(
        default=0.02, ge=0, description="How long a request waits for what is known of its user; 0 looks nobody up."
    )
    token: SecretStr | None = Field(default=None, description="The token that commands of this project send and show.")
    tls_certificate: Path | None = Field(default=None, description="PEM of the gateway's certificate and its chain.")
    tls_key: Path | None = Field(default=None, description="PEM of the key to it.")
    hedge_seconds: float = Field(
        default=0.0, ge=0, description="After so long the gateway asks a second model server too; 0: never."
    )
    otlp_url: str = Field(default="", description="OpenTelemetry collector (OTLP over HTTP); none: no spans are sent.")
    trace_share: float = Field(default=0.1, ge=0, le=1, description="Share of the traces begun here that are sent.")
    threads: int = Field(default=0, ge=0, description="Threads a step computes with; 0 means all cores.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    correlation_id: str = Field(default="", description="Written on every log line; a DAG run sets it.")
    result: Path | None = Field(default=None, description="File that receives a step's result as JSON.")
    step: StepIdentity = Field(default_factory=StepIdentity)

    @field_validator("home", "config_dir", "events_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().resolve()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def store(self) -> str:
        """Root URI of the store, without a trailing slash."""
        return self.store_uri.rstrip("/") or f"file://{self.home}/store"

    @property
    def keys_dir(self) -> Path:
        """The folder of the keys that tokens are signed with."""
        return self.home / "keys"

    @property
    def public_keys(self) -> str:
        """Where the public keys of tokens are read."""
        return self.jwks or str(self.keys_dir)

    @property
    def auth_required(self) -> bool:
        """Whether requests and commands need a token."""
        return self.auth == "required"

    @property
    def events(self) -> Path:
        """The folder of the event log."""
        return self.events_dir or self.home / "events"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def tracking_uri(self) -> str:
        return self.mlflow_uri or f"http://{self.host}:{self.mlflow_port}"

    @property
    def airflow(self) -> str:
        """Airflow's REST API."""
        return self.airflow_url or f"http://{self.host}:{self.airflow_port}"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gateway(self) -> str:
        """One gateway, for whoever asks any of them."""
        if not self.gateway_url:
            return f"http://{self.host}:{self.gateway_port}"
        return self.gateways.split(",")[0].strip().removeprefix("dns+")

    @property
    def gateways(self) -> str:
        """All gateways, as `release.gateways` reads them."""
        return self.gateway_url or f"http://{self.host}:{self.gateway_admin_port or self.gateway_port}"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def control_url(self) -> str:
        return self.control_db or f"sqlite:///{self.home}/control.db"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once.

    Raises `BadInputError` with every variable that does not validate.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"MASKER_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise BadInputError("the environment does not validate", got=wrong, fix="see .env.example") from error
