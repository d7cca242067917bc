"""The calls to a cluster's API, in one namespace. Errors come out as the project's own."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from identity_masker.errors import BadInputError, NotFoundError, TemporaryError
from identity_masker.serving.cluster import names

SECONDS = (2.0, 5.0)
"""Time to connect and to answer: short, as gateways take a fleet that is silent for long for one that is gone."""

PLURALS = {
    "Deployment": "deployments",
    "Pod": "pods",
    "Service": "services",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
}
WRONG = {400, 401, 403, 405, 413, 415, 422}
"""Statuses that the same request gets again."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/strategic-merge-patch+json"
Document = dict[str, Any]


class Cluster:
    """One namespace. Safe to use from several threads."""

    def __init__(self, namespace: str, kubeconfig: str | None = None) -> None:
        """From `kubeconfig`, default KUBECONFIG or ~/.kube/config; where there is none, as the pod's service account.

        Raises `BadInputError` when there is neither.
        """
        self.namespace = namespace
        settings = client.Configuration()
        settings.retries = 0  # the fleet tries again by itself
        _identify(settings, kubeconfig)
        self._api = client.ApiClient(settings)

    def close(self) -> None:
        self._api.close()

    @cached_property
    def budget_api(self) -> str:
        """The version of the API for disruption budgets that this cluster has."""
        return self._newest("policy", ("v1", "v1beta1"))

    @cached_property
    def autoscaler_api(self) -> str:
        return self._newest("autoscaling", ("v2", "v2beta2"))

    def _newest(self, group: str, known: tuple[str, ...]) -> str:
        answer = self._call("GET", "/apis")
        try:
            offered = {
                version["version"]
                for found in answer["groups"]
                if found["name"] == group
                for version in found["versions"]
            }
        except (KeyError, TypeError) as error:
            raise _no_api(f"API groups that are none: {str(answer)[:200]}") from error
        for version in known:
            if version in offered:
                return f"{group}/{version}"
        raise BadInputError(
            f"the cluster has no {group} API that is known here",
            got=", ".join(sorted(offered)) or "none",
            allowed=" or ".join(known),
        )

    def find(self, kind: str, api: str, labels: dict[str, str]) -> list[Document]:
        """All objects with `labels`, as the API server has them in memory."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        query = [("labelSelector", selector), ("resourceVersion", "0")]
        answer = self._call("GET", self._path(api, kind), query=query)
        items: list[Document] | None = answer.get("items")
        if not answer.get("kind", "").endswith("List") or items is None:
            raise _no_api(f"a list of {PLURALS[kind]} that is none: {str(answer)[:200]}")
        return items

    def apply(self, document: Document) -> Document:
        """Server-side apply: fields of ours that another changed become ours again; others are left alone."""
        path = self._path(document["apiVersion"], document["kind"], document["metadata"]["name"])
        return self._call("PATCH", path, document, APPLY, [("fieldManager", names.MANAGER), ("force", "true")])

    def patch(self, kind: str, api: str, name: str, change: Document) -> Document:
        query = [("fieldManager", f"{names.MANAGER}-scale")]
        return self._call("PATCH", self._path(api, kind, name), change, MERGE, query)

    def delete(self, kind: str, api: str, name: str) -> None:
        """With what it owns, in the background. One that is not there is deleted already."""
        query = [("propagationPolicy", "Background")]
        try:
            self._call("DELETE", self._path(api, kind, name), query=query)
        except NotFoundError:
            return

    def _path(self, api: str, kind: str, name: str = "") -> str:
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        path = f"{root}/namespaces/{self.namespace}/{PLURALS[kind]}"
        return f"{path}/{name}" if name else path

    def _call(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        content_type: str = "application/json",
        query: list[tuple[str, str]] | None = None,
    ) -> Document:
        try:
            answer = self._api.call_api(
                path,
                method,
                query_params=query or [],
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=SECONDS,
            )
            document = json.loads(answer.data)  # comes from the network only here, and may break off
        except ApiException as error:
            raise _refused(error, f"{method} {path}") from error
        except (HTTPError, OSError) as error:
            raise TemporaryError(
                "the cluster does not answer",
                got=f"{self._api.configuration.host}: {type(error).__name__}",
                fix="check the address in KUBECONFIG and that the API server runs",
            ) from error
        except ValueError as error:
            raise _no_api(f"{method} {path}: {error}") from error
        if not isinstance(document, dict):
            raise _no_api(f"{method} {path}: {str(document)[:200]}")
        return document


def _identify(settings: client.Configuration, kubeconfig: str | None) -> None:
    try:
        config.load_kube_config(config_file=kubeconfig, client_configuration=settings)
    except (ConfigException, OSError) as outside:
        try:
            config.load_incluster_config(client_configuration=settings)
        except ConfigException as inside:
            raise BadInputError(
                "there is no cluster to talk to",
                got=f"{outside}; {inside}",
                allowed="KUBECONFIG, ~/.kube/config, or a pod with a service account",
                fix="set KUBECONFIG, or MASKER_TARGET=local",
            ) from inside


def _no_api(got: str) -> TemporaryError:
    """For what a proxy on the way says while the API server is away."""
    return TemporaryError("what answers is not the API of a cluster", got=got, fix="check the address in KUBECONFIG")


def _refused(error: ApiException, what: str) -> BadInputError | TemporaryError:
    got = f"{what}: {error.status} {_message(error)}"
    if error.status == 404:
        return NotFoundError("the cluster does not have this", got=got)
    if error.status == 403:
        fix = "check the rights (docker/kubernetes/serving-rbac.yaml), the namespace and its quota"
        return BadInputError("the cluster refuses this", got=got, fix=fix)
    if error.status in WRONG:
        return BadInputError("the cluster refuses this", got=got, fix="see the reason")
    return TemporaryError("the cluster cannot do this now", got=got)


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])[:500]
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
