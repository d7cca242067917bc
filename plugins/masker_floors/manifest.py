"""From include/config/pods.yaml to the arguments of a `KubernetesPodOperator`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from kubernetes.client import models as k8s  # noqa: TID253 - plugins/.airflowignore

from masker_floors.pods import Hardware, Pods, Volume

USER_ID = 10001  # of docker/step.Dockerfile
RESULT_FILE = "/airflow/xcom/return.json"  # where the XCom sidecar looks
# The task's own timeout comes first; this one stops the pod when no Airflow is left to do so.
DEADLINE_MARGIN = timedelta(minutes=5)


def of(config: Pods, *, hardware: str, task_id: str, timeout: timedelta, outer: dict[str, str]) -> dict[str, Any]:
    """The operator's arguments for a pod of class `hardware`; `outer` is Airflow's own environment.

    Raises `BadInputError` for an unknown class and for a variable that is to be forwarded and not set.
    """
    machine = config.hardware(hardware)
    variables = {**config.variables(hardware, outer), "MASKER_RESULT": RESULT_FILE}
    name = re.sub(r"[^a-z0-9-]+", "-", f"masker-{task_id}".lower())
    return {
        "name": name,
        "image": machine.image or config.image,
        "image_pull_policy": config.image_pull_policy,
        "image_pull_secrets": [k8s.V1LocalObjectReference(name=secret) for secret in config.image_pull_secrets],
        "labels": {
            "app.kubernetes.io/name": "identity-masker",
            "app.kubernetes.io/component": "step",
            "masker/hardware": hardware,
        },
        "env_vars": environment(variables),
        "env_from": [
            k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=secret)) for secret in config.environment.secrets
        ],
        "execution_timeout": timeout,
        "active_deadline_seconds": int((timeout + DEADLINE_MARGIN).total_seconds()),
        **_placement(machine),
        **_security(config),
        **_course(config),
    }


def environment(variables: dict[str, str]) -> list[k8s.V1EnvVar]:
    return [k8s.V1EnvVar(name=name, value=value) for name, value in variables.items()]


def _placement(machine: Hardware) -> dict[str, Any]:
    return {
        "container_resources": k8s.V1ResourceRequirements(requests=machine.requests, limits=machine.limits),
        "node_selector": machine.node_selector,
        "tolerations": [k8s.V1Toleration(**toleration.model_dump()) for toleration in machine.tolerations],
        "priority_class_name": machine.priority_class,
        "runtime_class_name": machine.runtime_class,
        "volumes": [_volume(volume) for volume in machine.volumes],
        "volume_mounts": [
            k8s.V1VolumeMount(name=volume.name, mount_path=volume.mount_path, read_only=volume.read_only)
            for volume in machine.volumes
        ],
    }


def _volume(volume: Volume) -> k8s.V1Volume:
    empty, claim = volume.empty_dir, volume.persistent_volume_claim
    return k8s.V1Volume(
        name=volume.name,
        empty_dir=k8s.V1EmptyDirVolumeSource(medium=empty.medium, size_limit=empty.size_limit) if empty else None,
        persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim_name=claim) if claim else None,
        config_map=k8s.V1ConfigMapVolumeSource(name=volume.config_map) if volume.config_map else None,
        secret=k8s.V1SecretVolumeSource(secret_name=volume.secret) if volume.secret else None,
    )


def _security(config: Pods) -> dict[str, Any]:
    """What Pod Security "restricted" asks for, and a read-only root, for the step and for the XCom sidecar."""
    seccomp = k8s.V1SeccompProfile(type="RuntimeDefault")
    container = k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
        read_only_root_filesystem=True,
        run_as_non_root=True,
        run_as_user=USER_ID,
        seccomp_profile=seccomp,
    )
    return {
        "security_context": k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=USER_ID,
            run_as_group=USER_ID,
            fs_group=USER_ID,
            seccomp_profile=seccomp,
        ),
        "container_security_context": container,
        "xcom_sidecar_container_security_context": container,
        "service_account_name": config.service_account,
        "automount_service_account_token": False,
    }


def _course(config: Pods) -> dict[str, Any]:
    """How the pod is started, watched, logged and ended."""
    return {
        "deferrable": config.deferrable,
        "poll_interval": config.poll_interval_s,
        "logging_interval": config.logging_interval_s,
        "startup_timeout_seconds": config.startup_timeout_s,
        "termination_grace_period": config.grace_s,
        "on_finish_action": config.on_finish,
        "on_kill_action": "delete_pod",
        "do_xcom_push": True,
        "get_logs": True,
        "log_events_on_failure": True,
        "log_pod_spec_on_failure": False,  # it holds the environment
        # The last lines of the log become the message of the failure.
        "termination_message_policy": "FallbackToLogsOnError",
    }
