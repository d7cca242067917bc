"""include/config/pods.yaml: what a heavy step gets when it runs as a pod."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from identity_masker.documents import load_yaml
from identity_masker.errors import BadInputError

FILE = "pods.yaml"
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
Quantity = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# Names of Kubernetes objects (RFC 1123).
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Part):
    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class EmptyDir(_Part):
    medium: Literal["", "Memory"] = ""
    size_limit: Quantity | None = None


class Volume(_Part):
    """One volume at one path, from exactly one source."""

    name: Name
    mount_path: Annotated[str, Field(pattern="^/")]
    read_only: bool = False
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: Name | None = None
    config_map: Name | None = None
    secret: Name | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = ("empty_dir", "persistent_volume_claim", "config_map", "secret")
        given = [source for source in sources if getattr(self, source) is not None]
        if len(given) != 1:
            raise ValueError(f"volume {self.name} has {given or 'no source'}; expected exactly one of {sources}")
        return self


class Hardware(_Part):
    """One class of pods."""

    image: str | None = Field(default=None, min_length=1, description="Instead of the image of all classes.")
    requests: dict[str, Quantity]
    limits: dict[str, Quantity]
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    priority_class: Name | None = None
    runtime_class: Name | None = None
    volumes: tuple[Volume, ...] = ()
    environment: dict[EnvironmentName, str] = {}

    @model_validator(mode="after")
    def _memory_limited(self) -> Self:
        # Without a limit one step can take the memory of every other pod of its node.
        if "memory" not in self.limits:
            raise ValueError("limits has no memory")
        return self


class Environment(_Part):
    forward: tuple[EnvironmentName, ...] = ()
    secrets: tuple[Name, ...] = ()
    set: dict[EnvironmentName, str] = {}


class Pods(_Part):
    """The whole file."""

    image: str = Field(min_length=1)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[Name, ...] = ()
    service_account: Name = "default"
    deferrable: bool = True
    logging_interval_s: int = Field(
        default=20, ge=1, description="Without it a deferred pod logs nothing until its end."
    )
    startup_timeout_s: int = Field(default=900, ge=1)
    poll_interval_s: float = Field(default=5, gt=0)
    grace_s: int = Field(default=30, ge=0)
    on_finish: Literal["delete_pod", "delete_succeeded_pod", "keep_pod"] = "delete_succeeded_pod"
    environment: Environment = Environment()
    classes: dict[str, Hardware]

    def hardware(self, name: str) -> Hardware:
        """The class called `name`. Raises `BadInputError` when there is none."""
        if name not in self.classes:
            raise BadInputError(f"{FILE} has no such class", got=name, allowed=", ".join(sorted(self.classes)))
        return self.classes[name]

    def variables(self, name: str, outer: dict[str, str]) -> dict[str, str]:
        """The environment of a pod of class `name`; `outer` is Airflow's own.

        Raises `BadInputError` when a variable to forward is not set: the pod would silently use its default.
        """
        missing = [variable for variable in self.environment.forward if not outer.get(variable)]
        if missing:
            raise BadInputError(
                "a pod would not know where to read and write",
                got=f"Airflow's environment lacks {', '.join(missing)}",
                allowed=f"every variable that environment.forward of {FILE} names",
                fix=f"set it where Airflow's workers start, or take it out of {FILE}",
            )
        forwarded = {variable: outer[variable] for variable in self.environment.forward}
        return forwarded | self.environment.set | self.hardware(name).environment


def read(folder: Path) -> Pods:
    """The validated pods.yaml of `folder`.

    Raises `NotFoundError` when there is none and `BadInputError` when it does not validate.
    """
    return load_yaml(Pods, folder / FILE, "description of the pods", fix="see MASKER_CONFIG_DIR")
