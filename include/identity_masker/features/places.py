"""Where features lie: tables, statistics and versions in the store, the newest values in the online store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from identity_masker import artifacts
from identity_masker.errors import BadInputError

REDIS_SECONDS = 0.25
"""A Redis that takes longer than this counts as down."""


@dataclass(frozen=True)
class FeaturePlaces:
    """`online` is the URL of a Redis; without one the online store is a SQLite file of this machine."""

    home: Path
    store: str
    online: str = ""

    def uri(self, *parts: str) -> str:
        return artifacts.join(self.store, "features", *parts)

    def table(self, view: str) -> str:
        """The folder of the Parquet files of a feature view."""
        return self.uri("tables", view)

    def at_hand(self, view: str) -> Path:
        """The folder that Feast reads a view's files in: the store's own, or a copy of those of an object store."""
        table = self.table(view)
        return Path(table.removeprefix("file://")) if artifacts.is_local(table) else self.home / "features" / view

    @property
    def registry(self) -> Path:
        """Feast's registry. Every machine makes its own out of the definitions; nothing else is in it."""
        return self.home / "features" / "registry.db"

    @property
    def ends(self) -> str:
        """The file that says until when the online store has the values of each view."""
        if not self.online:
            return str(self.home / "features" / "online.json")
        return self.uri("online", f"{artifacts.sha256(self.online.encode())[:12]}.json")

    @property
    def sqlite(self) -> Path:
        return self.home / "features" / "online.db"


def redis_connection(url: str) -> str:
    """A Redis URL as Feast writes it: `HOST:PORT,db=0,password=…`.

    Raises `BadInputError` for anything but `redis://[:PASSWORD@]HOST[:PORT][/DB]` and `rediss://…`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError as error:
        raise _no_redis(str(error)) from error
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise _no_redis(f"scheme {parts.scheme!r}")
    options = {
        "db": parts.path.strip("/") or "0",
        "socket_timeout": str(REDIS_SECONDS),
        "socket_connect_timeout": str(REDIS_SECONDS),
        **({"username": unquote(parts.username)} if parts.username else {}),
        **({"password": unquote(parts.password)} if parts.password else {}),
        **({"ssl": "true"} if parts.scheme == "rediss" else {}),
        **dict(parse_qsl(parts.query)),
    }
    if any("," in value for value in options.values()):
        raise BadInputError(
            "the URL of the Redis holds a comma, at which Feast cuts it (RedisOnlineStore, Feast 0.67)",
            fix="choose a password without a comma",
        )
    return ",".join([f"{parts.hostname}:{port}", *(f"{name}={value}" for name, value in options.items())])


def _no_redis(got: str) -> BadInputError:
    return BadInputError(
        "this is not the URL of a Redis",
        got=got,
        allowed="redis://HOST:6379/0 or rediss://:PASSWORD@HOST:6379/0",
        fix="set MASKER_ONLINE_STORE, or leave it empty for SQLite",
    )
