"""What a rollout needs of the registry, in MLflow."""

from __future__ import annotations

from identity_masker.serving.deploy import ModelRegistry


class ReleaseRegistry(ModelRegistry):
    """The registry of the settings, with the names and tags that a rollout changes."""

    def withdraw(self, version: str) -> None:
        from identity_masker.registry import models

        models.withdraw(version)

    def note(self, version: str, tags: dict[str, str]) -> None:
        from identity_masker.registry import models

        models.note(version, tags)
