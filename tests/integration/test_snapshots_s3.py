"""Snapshots in an object store: a real S3 API over HTTP, from moto's server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.server import ThreadedMotoServer
from PIL import Image
from werkzeug.serving import make_server

from identity_masker import artifacts
from identity_masker.errors import BadInputError, ConflictError, NotFoundError, TemporaryError
from identity_masker.faces.data_repository import Places
from identity_masker.faces.dataset_config import load_config
from identity_masker.faces.ingest import ingest
from identity_masker.faces.ingest_results import IngestResult
from identity_masker.faces.snapshot import open_from
from identity_masker.faces.versions import VersionStore
from identity_masker.settings import PROJECT

pytestmark = pytest.mark.filterwarnings(
    # What DVC, s3fs and their dependencies do on import and in use.
    "ignore:_NoneStep.value will soon raise:DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
)

STORE = "s3://faces/store"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    # File systems remember the endpoint that they were made with.
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="faces")
    yield
    s3fs.S3FileSystem.clear_instance_cache()


def photos(folder: Path) -> Path:
    for person in range(9):
        (folder / f"person-{person}").mkdir(parents=True)
        for shot in range(2):
            blocks = np.random.default_rng([person, shot]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((70, 64)).save(folder / f"person-{person}" / f"{shot}.png")
    return folder


def bring_in(source: Path, home: Path) -> IngestResult:
    config = load_config("folder", PROJECT / "include" / "config").reading(source=source, images=None)
    return ingest(config, Places(home, STORE), workers=1)


def test_machines_share_versions_and_data_through_the_bucket(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos")
    first, second = bring_in(source, tmp_path / "one"), bring_in(source, tmp_path / "two")
    assert (first.version, first.new_version) == ("folder-1.0.0", True)
    assert (second.version, second.new_version, second.snapshot) == ("folder-1.0.0", False, first.snapshot)
    pod = Places(tmp_path / "pod", STORE)
    with pytest.raises(ConflictError, match="has not been validated"):
        open_from("folder-1.0.0", pod)
    VersionStore(STORE).set_validation("folder", "1.0.0", {"ok": True})
    here = open_from("folder-latest", Places(tmp_path / "one", STORE))
    there = open_from("folder-latest", pod)
    assert there.id == here.id == first.snapshot
    for split in here.splits:
        np.testing.assert_array_equal(there.load(split, 64).images, here.load(split, 64).images)


def test_of_many_writers_one_makes_an_object() -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: artifacts.create_bytes("s3://faces/once", str(n).encode()), range(8)))
    assert won.count(True) == 1
    assert artifacts.read_bytes("s3://faces/once") == str(won.index(True)).encode()


def test_objects_are_listed_as_they_are_now() -> None:
    assert artifacts.names("s3://faces/list") == []
    for name in ("b", "a/deep", "c"):
        artifacts.write_bytes(f"s3://faces/list/{name}", b"x")
        assert name.split("/")[0] in artifacts.names("s3://faces/list")
    assert artifacts.names("s3://faces/list") == ["a", "b", "c"]
    with pytest.raises(NotFoundError, match="stored file is missing"):
        artifacts.read_bytes("s3://faces/list/d")


def test_a_missing_bucket_is_named() -> None:
    with pytest.raises(NotFoundError, match="bucket does not exist; got s3://no-such-bucket/x"):
        artifacts.write_bytes("s3://no-such-bucket/x", b"x")


def test_a_store_that_does_not_answer_is_a_temporary_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TemporaryError, match="does not answer"):
        artifacts.read_bytes("s3://faces/x")


def test_missing_credentials_are_bad_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(BadInputError, match="refuses access"):
        artifacts.read_bytes("s3://faces/x")


def test_a_manifest_in_the_bucket_names_pictures_in_the_bucket(tmp_path: Path) -> None:
    rows: dict[str, list[str]] = {"uri": [], "identity": []}
    for path in sorted(photos(tmp_path / "photos").rglob("*.png")):
        artifacts.put_file(f"s3://faces/in/{path.parent.name}/{path.name}", path)
        rows["uri"].append(f"{path.parent.name}/{path.name}")
        rows["identity"].append(path.parent.name)
    artifacts.write_bytes("s3://faces/in/empty.png", b"")
    rows["uri"] += ["empty.png", "s3://faces/elsewhere/gone.png"]
    rows["identity"] += ["person-0", "person-0"]
    pq.write_table(pa.table(rows), tmp_path / "faces.parquet")
    artifacts.put_file("s3://faces/in/faces.parquet", tmp_path / "faces.parquet")

    def read() -> IngestResult:
        config = load_config("folder", PROJECT / "include" / "config").named("listed")
        return ingest(config.reading(source="s3://faces/in/faces.parquet", images=None), Places(tmp_path, STORE), 2)

    first = read()
    assert (first.read, first.accepted, first.reasons) == (20, 18, {"empty": 1, "missing": 1})
    artifacts.put_file("s3://faces/in/empty.png", tmp_path / "photos" / "person-0" / "0.png")
    later = read()
    assert (later.read, later.accepted, later.duplicates, later.reasons) == (1, 18, 1, {"missing": 1})


class Breaking:
    """moto's S3 behind a door that answers 500 once `uploads` more have come through."""

    def __init__(self) -> None:
        self.uploads = 0
        self._app = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] in ("PUT", "POST"):
            self.uploads -= 1
            if self.uploads < 0:
                start_response("500 Internal Server Error", [("Content-Length", "0"), ("Connection", "close")])
                return []
        return self._app(environ, start_response)


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Breaking]:
    door = Breaking()
    server = make_server("127.0.0.1", 0, door, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    yield door
    server.shutdown()
    server.server_close()


def test_a_store_that_breaks_down_in_the_middle_of_an_upload_shows_nothing_of_it(
    tmp_path: Path, breaking: Breaking
) -> None:
    config = load_config("folder", PROJECT / "include" / "config").named("broken")
    config = config.reading(source=photos(tmp_path / "photos"), images=None)
    wanted = ingest(config, Places(tmp_path / "whole", f"file://{tmp_path}/whole/store"), workers=1).snapshot
    outcomes = []
    for uploads in (0, 2, 5, 9, 14, 1000):
        breaking.uploads = uploads
        try:
            outcomes.append(ingest(config, Places(tmp_path / "home", STORE), workers=1).snapshot)
        except TemporaryError:
            outcomes.append(None)
            breaking.uploads = 1000
            assert VersionStore(STORE).semvers("broken") == []
    assert outcomes[:3] == [None] * 3
    assert outcomes[-1] == wanted
    there = open_from("broken-1.0.0", Places(tmp_path / "pod", STORE), validated=False)
    assert there.load("train", 64).images.any()
