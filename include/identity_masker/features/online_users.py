"""What a gateway looks up of a user while their request waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from identity_masker import artifacts
from identity_masker.errors import MaskerError, TemporaryError
from identity_masker.features.definitions import USER_PROFILE
from identity_masker.features.places import FeaturePlaces
from identity_masker.telemetry.logs import logger

if TYPE_CHECKING:
    from identity_masker.features.repository import FeatureRepository

LOOK_AGAIN_SECONDS = 15.0
log = logger(__name__)


class OnlineUsers:
    """The profile of a user by their unit. Opens the store in a thread of its own: importing Feast takes seconds.

    Before features were declared on these places there is nothing to look up, and Feast is not imported.
    """

    def __init__(self, places: FeaturePlaces, *, look_again: float = LOOK_AGAIN_SECONDS) -> None:
        self._places = places
        self._look_again = look_again
        self._repository: FeatureRepository | None = None
        self._closed = threading.Event()
        self.opened = threading.Event()
        threading.Thread(target=self._open, name="online-features", daemon=True).start()

    def __call__(self, unit: str) -> dict[str, Any]:
        """The features that `unit` has; empty for an unknown user, and while the store is not open.

        Raises `TemporaryError` when the online store does not answer.
        """
        if self._repository is None:
            return {}
        (found,) = self._repository.online_view(USER_PROFILE.name, [unit])
        return {name: found[name] for name in USER_PROFILE.features if found[name] is not None}

    def close(self) -> None:
        self._closed.set()

    def _open(self) -> None:
        while not self._closed.is_set():
            try:
                if artifacts.names(self._places.uri("versions")):
                    self._repository = self._opened()
                    self.opened.set()
                    log.info("features_online", store="redis" if self._places.online else "sqlite")
                    return
            except (MaskerError, ImportError) as error:  # a gateway serves without features
                log.warning("features_not_online", why=str(error))
            self._closed.wait(self._look_again)

    def _opened(self) -> FeatureRepository:
        """A repository that has looked up once, which imports Feast and makes the registry."""
        from identity_masker.features.repository import FeatureRepository

        repository = FeatureRepository(self._places)
        try:
            repository.online_view(USER_PROFILE.name, ["nobody"])
        except TemporaryError as error:  # it may come back; the gateway asks with each user
            log.warning("features_not_answering", why=str(error))
        return repository
