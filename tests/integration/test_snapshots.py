"""Snapshots made and read for real: DVC, a folder as the store, processes that are killed, disks that fill up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from identity_masker.artifacts import sha256_file
from identity_masker.errors import BadInputError, ConflictError, MaskerError, NotFoundError
from identity_masker.faces.data_repository import Places
from identity_masker.faces.dataset_config import DatasetConfig, load_config
from identity_masker.faces.decode import REASONS
from identity_masker.faces.ingest import ingest
from identity_masker.faces.ingest_results import IngestResult, SourceRefusedError
from identity_masker.faces.readers import RenderedReader
from identity_masker.faces.snapshot import open_from
from identity_masker.faces.versions import VersionStore
from identity_masker.settings import PROJECT

pytestmark = pytest.mark.filterwarnings(
    # What DVC's dependencies do on import and in use.
    "ignore:_NoneStep.value will soon raise:DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
)

FOLDER = load_config("folder", PROJECT / "include" / "config")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home", f"file://{tmp_path}/home/store")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    add_people(folder, range(9))
    return folder


def add_people(folder: Path, people: range, shots: int = 3) -> None:
    for person in people:
        (folder / f"person-{person}").mkdir(parents=True, exist_ok=True)
        for shot in range(shots):
            blocks = np.random.default_rng([person, shot]).integers(0, 256, (10, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(blocks).resize((80, 100), Image.Resampling.BILINEAR)
            picture.save(folder / f"person-{person}" / f"{shot}.jpg")


def run(source: Path, places: Places, config: DatasetConfig = FOLDER) -> IngestResult:
    return ingest(config.reading(source=source, images=None), places, workers=2)


def everything_under(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in sorted(folder.rglob("*"))}


def make_bad_files(folder: Path) -> dict[str, str]:
    """One file for each reason; returns name → reason."""
    jpeg = (folder / "person-0" / "0.jpg").read_bytes()
    bad = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"no picture", "not_an_image"),
        "cut.jpg": (jpeg[:500], "truncated"),
        "jpeg.png": (jpeg, "wrong_extension"),
        "thumb.gif": (b"GIF89a" + bytes(40), "unsupported_format"),
        "notes.txt": (b"dear diary", "not_an_image"),
        ".DS_Store": (b"\0\0\0\1Bud1", "not_an_image"),
    }
    for name, (content, _) in bad.items():
        (folder / "person-1" / name).write_bytes(content)
    (folder / "loose.jpg").write_bytes(b"\xff\xd8" + jpeg[2:])
    return {f"person-1/{name}": reason for name, (_, reason) in bad.items()} | {"loose.jpg": "no_identity"}


def test_every_input_is_accounted_for_and_the_source_is_left_alone(photos: Path, places: Places) -> None:
    bad = make_bad_files(photos)
    shutil.copy(photos / "person-2" / "0.jpg", photos / "person-2" / "again.jpg")
    shutil.copy(photos / "person-2" / "0.jpg", photos / "person-3" / "again.jpg")
    before = everything_under(photos)
    result = run(photos, places)
    assert everything_under(photos) == before
    assert (result.inputs, result.accepted, result.quarantined, result.duplicates) == (
        27 + len(bad) + 2,
        27,
        len(bad),
        2,
    )
    assert sum(result.reasons.values()) == result.quarantined
    assert sum(result.splits.values()) == result.accepted
    account = Path(result.account_uri.removeprefix("file://"))
    refused = pq.read_table(account / "quarantine.parquet").to_pylist()
    assert {row["name"]: row["reason"] for row in refused} == bad
    assert set(result.reasons) <= set(REASONS)
    duplicates = {row["name"]: row["duplicate_of"] for row in pq.read_table(account / "duplicates.parquet").to_pylist()}
    assert duplicates == {"person-2/again.jpg": "person-2/0.jpg", "person-3/again.jpg": "person-2/0.jpg"}


def test_pictures_and_people_come_back_as_they_went_in(photos: Path, places: Places) -> None:
    version = run(photos, places).version
    assert version == "folder-1.0.0"
    snapshot = open_from(version, places, validated=False)
    assert snapshot.splits == ("train", "validation", "attacker", "test")
    seen: dict[str, str] = {}
    for split in snapshot.splits:
        faces = snapshot.load(split, 64)
        rows = snapshot.manifest[snapshot.manifest["split"] == split]
        assert faces.factors is None
        assert faces.landmarks is None
        for name, identity, picture in zip(rows["name"], faces.identities, faces.images, strict=True):
            assert name.startswith(f"{identity}/")
            assert seen.setdefault(identity, split) == split
            original = Image.open(photos / name).resize((64, 64), Image.Resampling.HAMMING, box=(0, 10, 80, 90))
            np.testing.assert_array_equal(picture, np.asarray(original))
    assert len(seen) == 9


def test_labels_of_rendered_faces_stay_with_their_pictures(places: Places) -> None:
    config = load_config("rendered", PROJECT / "include" / "config")
    reader = RenderedReader(people=8, images=40)
    version = ingest(config.model_copy(update={"reader": reader, "shard_images": 7}), places, workers=2).version
    assert version is not None
    snapshot = open_from(version, places, validated=False)
    with reader.open(list(reader.listing()), 1) as opened:
        drawn = {one.name: one for one in opened}
    for split in snapshot.splits:
        faces = snapshot.load(split, 64)
        names = snapshot.manifest.loc[snapshot.manifest["split"] == split, "name"]
        assert faces.factors is not None
        assert faces.landmarks is not None
        for row, name in enumerate(names):
            labels = drawn[name].labels
            assert labels is not None
            np.testing.assert_array_equal(faces.images[row], drawn[name].read(config.limits))
            np.testing.assert_array_equal(faces.factors[row], labels.factors)
            np.testing.assert_array_equal(faces.landmarks[row], labels.landmarks)
    assert snapshot.load("train", 32).images.shape[1:] == (32, 32, 3)


def test_rendered_faces_that_were_ingested_are_not_drawn_again(places: Places) -> None:
    config = load_config("rendered", PROJECT / "include" / "config").reading(source=None, images=24)
    first = ingest(config, places, workers=1)
    again = ingest(config, places, workers=1)
    assert (first.new_version, again.new_version) == (True, False)
    assert (again.version, again.snapshot, again.inputs) == (first.version, first.snapshot, 24)
    assert again.account_uri == first.account_uri


def test_the_same_source_gives_the_same_snapshot_and_no_version(photos: Path, places: Places, tmp_path: Path) -> None:
    first = run(photos, places)
    again = run(photos, places)
    assert (again.snapshot, again.version, again.new_version) == (first.snapshot, first.version, False)
    elsewhere = run(photos, Places(tmp_path / "other", f"file://{tmp_path}/other-store"))
    assert elsewhere.snapshot == first.snapshot


def test_versions_follow_what_changed(photos: Path, places: Places) -> None:
    first = run(photos, places)
    people = open_from("folder-1.0.0", places, validated=False).manifest.groupby("identity")["split"].first()
    add_people(photos, range(9, 14))
    more = run(photos, places)
    (photos / "person-0" / "0.jpg").unlink()
    fewer = run(photos, places)
    larger = run(photos, places, FOLDER.model_copy(update={"size": 80}))
    shutil.rmtree(photos)
    add_people(photos, range(9))
    back = run(photos, places)
    found = [result.version for result in (first, more, fewer, larger, back)]
    assert found == ["folder-1.0.0", "folder-1.1.0", "folder-1.1.1", "folder-2.0.0", "folder-1.0.0"]
    now = open_from("folder-1.1.0", places, validated=False).manifest.groupby("identity")["split"].first()
    assert now[people.index].tolist() == people.tolist()
    changes = [record.changelog for record in VersionStore(places.store).records("folder")]
    assert [(c.change, c.images_added, c.images_removed, c.people_added) for c in changes] == [
        ("first", 27, 0, 9),
        ("minor", 15, 0, 5),
        ("patch", 0, 1, 0),
        ("major", 0, 0, 0),
    ]


@pytest.mark.parametrize("people", [0, 1])
def test_a_source_with_fewer_than_two_people_is_refused_with_its_account(
    people: int, places: Places, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    add_people(folder, range(people))
    (folder / "alone.jpg").write_bytes(b"x")
    with pytest.raises(SourceRefusedError, match="one sub-folder a person") as caught:
        run(folder, places)
    result = caught.value.result
    assert (result.version, result.inputs, result.accepted, result.quarantined) == (None, 3 * people + 1, 3 * people, 1)
    assert VersionStore(places.store).semvers("folder") == []


def test_a_machine_with_only_the_store_gets_the_data_through_dvc(photos: Path, places: Places, tmp_path: Path) -> None:
    version = run(photos, places).version
    assert version is not None
    here = open_from(version, places, validated=False).load("train", 64)
    store = tmp_path / "store-elsewhere"
    shutil.move(tmp_path / "home" / "store", store)
    shutil.rmtree(places.home)
    there = open_from(version, Places(tmp_path / "pod", f"file://{store}"), validated=False)
    np.testing.assert_array_equal(there.load("train", 64).images, here.images)
    for path, stored in there.record.files.items():
        assert sha256_file(there.folder / path) == stored.sha256


def test_a_damaged_copy_is_noticed(photos: Path, places: Places) -> None:
    version = run(photos, places).version
    assert version is not None
    snapshot = open_from(version, places, validated=False)
    shard = next((snapshot.folder / "shards").glob("train-*"))
    shard.chmod(0o600)
    with shard.open("r+b") as file:
        file.seek(100)
        file.write(b"\0\1\2\3")
    with pytest.raises(BadInputError, match="is damaged"):
        open_from(version, places, validated=False).load("train", 64)


def test_a_store_that_lost_files_is_noticed(photos: Path, places: Places, tmp_path: Path) -> None:
    version = run(photos, places).version
    assert version is not None
    shutil.rmtree(tmp_path / "home" / "store" / "dvc")
    with pytest.raises(MaskerError, match="store"):
        open_from(version, Places(tmp_path / "pod", places.store), validated=False)


def test_unvalidated_data_are_refused_for_use(photos: Path, places: Places) -> None:
    version = run(photos, places).version
    assert version is not None
    with pytest.raises(ConflictError, match=f"masker data validate --dataset {version}"):
        open_from(version, places)
    with pytest.raises(NotFoundError, match="validate one"):
        open_from("folder-latest", places)


@pytest.mark.parametrize(("split", "size"), [("holdout", 64), ("train", 128), ("train", 0)])
def test_what_a_snapshot_does_not_hold_cannot_be_loaded(split: str, size: int, photos: Path, places: Places) -> None:
    version = run(photos, places).version
    assert version is not None
    with pytest.raises(BadInputError, match=r"no such split|pictures of this size"):
        open_from(version, places, validated=False).load(split, size)


def masker(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "identity_masker.cli", "data", *arguments]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "MASKER_HOME": str(home), "MASKER_THREADS": "1"}


def test_two_ingestions_at_once_agree_on_one_version(photos: Path, places: Places) -> None:
    command = masker("ingest", "--source", str(photos), "--json")
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(
                lambda _: subprocess.run(command, env=environment(places.home), capture_output=True, check=True),
                range(2),
            )
        )
    results = [json.loads(process.stdout) for process in done]
    assert {result["version"] for result in results} == {"folder-1.0.0"}
    assert sorted(result["new_version"] for result in results) == [False, True]
    assert open_from("folder-1.0.0", places, validated=False).load("train", 64).images.any()


def test_a_killed_ingestion_leaves_nothing_visible_and_can_be_repeated(
    photos: Path, places: Places, tmp_path: Path
) -> None:
    add_people(photos, range(9, 60), shots=6)
    whole = run(photos, Places(tmp_path / "whole", f"file://{tmp_path}/whole/store"))
    command = masker("ingest", "--source", str(photos), "--json")
    staging = places.home / "data" / ".staging"
    for wait in (0.0, 0.1, 0.4):
        process = subprocess.Popen(
            command, env=environment(places.home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not list(staging.glob("*/shards")):
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for version in VersionStore(places.store).semvers("folder"):
            assert open_from(f"folder-{version}", places, validated=False).id == whole.snapshot
    assert run(photos, places).snapshot == whole.snapshot
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize("size", ["100k", "500k"])
def test_a_full_disk_is_a_temporary_failure_without_a_trace(size: str, photos: Path, tmp_path: Path) -> None:
    home = tmp_path / "small"
    home.mkdir()
    mount = 'mount -t tmpfs -o size="$SIZE" tmpfs "$0" || exit 99; '
    script = mount + '"$@"; code=$?; find "$0" -path "*/versions/*"; exit $code'
    command = ["unshare", "-rm", "sh", "-c", script, str(home), *masker("ingest", "--source", str(photos))]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    done = subprocess.run(command, env={**environment(home), "SIZE": size}, capture_output=True, text=True, check=False)
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr}")
    assert done.returncode == 75, done.stderr
    assert "no space left on the disk" in done.stderr
    assert done.stdout == ""
