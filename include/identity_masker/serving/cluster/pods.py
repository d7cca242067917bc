"""include/config/serving.yaml: what a model server gets when it runs as a pod."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity_masker.documents import load_yaml

FILE = "serving.yaml"
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
Quantity = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
UNITS = {
    "": 1.0,
    "m": 1e-3,
    **{unit: 1e3**power for power, unit in enumerate("kMGTP", 1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTP", 1)},
}
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# Names of Kubernetes objects (RFC 1123).
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Part):
    """As in Kubernetes."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Mount(_Part):
    """A ConfigMap or a Secret as files at one path, read-only."""

    name: Name
    mount_path: Annotated[str, Field(pattern="^/")]
    config_map: Name | None = None
    secret: Name | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.config_map is None) == (self.secret is None):
            raise ValueError(f"mount {self.name} needs config_map or secret, and not both")
        return self


class Environment(_Part):
    """`secrets`: Kubernetes Secrets whose keys become variables."""

    secrets: tuple[Name, ...] = ()
    set: dict[Variable, str] = {}


class Autoscaling(_Part):
    """More pods than asked for while they are busy, never fewer."""

    max_factor: int = Field(ge=1, le=64, description="At most so many times what is asked for.")
    cpu_percent: int = Field(default=70, ge=1, le=100, description="Of the requested CPU, on average.")
    calm_seconds: int = Field(default=300, ge=0, le=3600, description="Time of less load before a pod goes.")


class Pods(_Part):
    """The whole file."""

    image: str = Field(min_length=1)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[Name, ...] = ()
    instance: Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,18}[a-z0-9])?$")] = "masker"
    command: tuple[str, ...] = Field(default=("masker", "serve"), min_length=1)
    port: int = Field(default=8100, ge=1024, le=65535)
    user: int = Field(default=10001, ge=1)
    batch: int | None = Field(default=None, ge=1, le=256, description="Pictures in one call; by default measured.")
    capacity: int = Field(default=64, ge=1)
    threads: int = Field(default=1, ge=1, le=256)
    requests: dict[str, Quantity]
    limits: dict[str, Quantity]
    scratch: Quantity = "2Gi"
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    priority_class: Name | None = None
    start_seconds: int = Field(default=300, ge=10, description="Time from its start until it answers at all.")
    drain_seconds: int = Field(default=5, ge=2, le=600, description="A server that goes answers so long as before.")
    grace_seconds: int = Field(default=15, ge=1, le=600, description="Time for requests in flight after that.")
    environment: Environment = Environment()
    mounts: tuple[Mount, ...] = ()
    autoscaling: Autoscaling | None = None

    @model_validator(mode="after")
    def _memory_limited(self) -> Self:
        # Without a limit one server can take the memory of every other pod of its node.
        if "memory" not in self.limits:
            raise ValueError("limits has no memory")
        if self.autoscaling is not None and "cpu" not in self.requests:
            raise ValueError("autoscaling compares with requests.cpu, which is missing")
        return self


def amount(quantity: Quantity) -> float:
    """`quantity` as a number: of bytes, or of CPUs."""
    number = quantity.rstrip("mkMGTPKi")
    return float(number) * UNITS[quantity.removeprefix(number)]


def read(folder: Path) -> Pods:
    """The validated serving.yaml of `folder`.

    Raises `NotFoundError` when there is none and `BadInputError` that names each wrong field.
    """
    return load_yaml(Pods, folder / FILE, "description of the pods", fix="see MASKER_CONFIG_DIR")
