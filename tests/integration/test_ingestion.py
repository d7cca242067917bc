"""Ingestions that are cut into parts, killed, repeated and continued end where one undisturbed run ends."""

from __future__ import annotations

import multiprocessing
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError, TemporaryError
from identity_masker.faces import ingest as ingestion
from identity_masker.faces import plan as plans
from identity_masker.faces.data_repository import Places
from identity_masker.faces.dataset_config import DatasetConfig, load_config
from identity_masker.faces.ingest import ingest
from identity_masker.faces.ingest_results import IngestResult
from identity_masker.faces.readers import CelebaReader, ManifestReader
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
def photos(tmp_path: Path) -> Path:
    for person in range(9):
        for shot in range(4):
            draw(tmp_path / "photos" / f"person-{person}" / f"{shot}.jpg", person, shot)
    return tmp_path / "photos"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "BLOCK", 4)
    monkeypatch.setattr(ingestion, "PART_BLOCKS", 2)


def draw(path: Path, *seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (10, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((80, 100), Image.Resampling.BILINEAR).save(path)


def at(folder: Path) -> Places:
    return Places(folder / "home", f"file://{folder}/store")


def run(source: Path, places: Places, config: DatasetConfig = FOLDER) -> IngestResult:
    return ingest(config.reading(source=source, images=None), places, workers=2)


def counts(result: IngestResult) -> tuple[int, int, int, int]:
    assert result.inputs == result.accepted + result.quarantined + result.duplicates
    return result.read, result.accepted, result.quarantined, result.duplicates


def test_only_what_is_new_or_changed_is_read_and_the_snapshot_is_the_same(photos: Path, tmp_path: Path) -> None:
    (photos / "person-0" / "bad.jpg").write_bytes(b"x")
    shutil.copy(photos / "person-1" / "0.jpg", photos / "person-1" / "copy.jpg")
    assert counts(run(photos, at(tmp_path))) == (38, 36, 1, 1)
    assert counts(run(photos, at(tmp_path))) == (0, 36, 1, 1)
    draw(photos / "person-3" / "9.jpg", 3, 9)
    draw(photos / "person-4" / "0.jpg", 4, 99)
    (photos / "person-5" / "1.jpg").unlink()
    later = run(photos, at(tmp_path))
    assert counts(later) == (2, 36, 1, 1)
    anew = run(photos, at(tmp_path / "elsewhere"))
    assert (anew.read, anew.snapshot) == (38, later.snapshot)
    old, new = (open_from(f"folder-{later.version[-5:]}", places, validated=False) for places in (at(tmp_path),) * 2)
    stored = {shard for shard in old.record.files if shard.startswith("shards/")}
    held = sum(pq.read_metadata(new.folder / shard).num_rows for shard in stored)
    assert held == later.accepted, "pixels of inputs that are gone are gone"


def test_a_duplicate_takes_the_place_of_its_original_when_that_is_gone(photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "person-1" / "0.jpg", photos / "person-2" / "copy.jpg")
    run(photos, at(tmp_path))
    (photos / "person-1" / "0.jpg").unlink()
    later = run(photos, at(tmp_path))
    assert counts(later) == (1, 36, 0, 0)
    names = open_from(later.version or "", at(tmp_path), validated=False).manifest["name"].tolist()
    assert "person-2/copy.jpg" in names
    shutil.copy(photos / "person-2" / "copy.jpg", photos / "person-0" / "first.jpg")
    again = run(photos, at(tmp_path))
    assert counts(again) == (1, 36, 0, 1)
    assert again.snapshot == run(photos, at(tmp_path / "elsewhere")).snapshot


def test_another_size_of_squares_reads_all_anew(photos: Path, tmp_path: Path) -> None:
    run(photos, at(tmp_path))
    assert run(photos, at(tmp_path), FOLDER.model_copy(update={"size": 32})).read == 36


@pytest.mark.usefixtures("small_blocks")
def test_machines_that_share_the_store_read_a_part_each(photos: Path, tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    config = FOLDER.reading(source=photos, images=None)
    made = ingestion.plan(config, Places(tmp_path / "planner", store), 1)
    assert (made.inputs, made.new, len(made.parts)) == (36, 36, 5)
    reads = [ingestion.read(p.plan, p.part, Places(tmp_path / f"pod-{p.part}", store), 1) for p in made.parts[:-1]]
    assert [(one.blocks, one.found) for one in reads] == [(2, 0)] * 4
    again = ingestion.read(made.plan, 0, Places(tmp_path / "retry", store), 1)
    assert (again.blocks, again.found) == (0, 2)
    # The last part was never read: what is missing is read on the way.
    merged = ingestion.carry_out(made.plan, Places(tmp_path / "merger", store), 1)
    assert merged.snapshot == run(photos, at(tmp_path / "alone")).snapshot
    assert counts(merged) == (36, 36, 0, 0)
    assert artifacts.tree(f"{store}/datasets/folder/work") == []
    nothing_new = ingestion.plan(config, Places(tmp_path / "planner", store), 1)
    assert (nothing_new.new, nothing_new.parts, nothing_new.version) == (0, (), "folder-1.0.0")
    assert ingestion.carry_out(nothing_new.plan, at(tmp_path), 1).version == "folder-1.0.0"


@pytest.mark.usefixtures("small_blocks")
def test_a_part_or_plan_that_is_not_there_is_refused(photos: Path, tmp_path: Path) -> None:
    made = ingestion.plan(FOLDER.reading(source=photos, images=None), at(tmp_path), 1)
    with pytest.raises(BadInputError, match="no such part; got 5; expected 0 to 4"):
        ingestion.read(made.plan, 5, at(tmp_path), 1)
    with pytest.raises(NotFoundError, match="no such plan"):
        ingestion.carry_out(f"file://{tmp_path}/store/datasets/folder/work/plans/none", at(tmp_path), 1)


@pytest.mark.usefixtures("small_blocks")
def test_a_block_that_was_damaged_in_the_store_is_not_used(photos: Path, tmp_path: Path) -> None:
    made = ingestion.plan(FOLDER.reading(source=photos, images=None), at(tmp_path), 1)
    ingestion.read(made.plan, 0, at(tmp_path), 1)
    shard = next((tmp_path / "store" / "datasets" / "folder" / "work" / "blocks").rglob("shards/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\0")
    with pytest.raises(TemporaryError, match="damaged"):
        ingestion.carry_out(made.plan, at(tmp_path), 1)
    assert VersionStore(f"file://{tmp_path}/store").semvers("folder") == []


def test_points_traits_and_people_of_celeba_come_with_the_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "celeba"
    lines = {
        "identity_CelebA.txt": [],
        "list_attr_celeba.txt": ["8", "Male Young"],
        "points.csv": ["image_id" + ",c" * 10],
    }
    for number in range(8):
        name = f"{number:06d}.jpg"
        draw(folder / "img_align_celeba" / name, number)
        lines["identity_CelebA.txt"].append(f"{name} {number // 2}")
        lines["list_attr_celeba.txt"].append(f"{name} {1 if number % 2 else -1} 1")
        lines["points.csv"].append(f"{name},30,40,50,40,40,50,33,60,47,60")
    for list_name, text in lines.items():
        (folder / list_name).write_text("\n".join(text))
    reader = CelebaReader(path=folder, landmarks="points.csv")
    config = FOLDER.model_copy(update={"reader": reader, "crop": "anchors"})
    result = ingest(config, at(tmp_path), workers=1)
    assert result.accepted == 8
    snapshot = open_from(result.version or "", at(tmp_path), validated=False)
    described = snapshot.descriptors.set_index("name")
    assert described["face_size"].to_numpy() == pytest.approx(20, rel=1e-4)
    assert described["roll"].abs().max() < 1e-3
    assert described["eye_left_x"].between(0.3, 0.45).all()
    assert described["jpeg_quality"].to_numpy() == pytest.approx(75, abs=1)
    attributes = snapshot.attributes
    assert attributes is not None
    assert attributes.loc[attributes["name"] == "000003.jpg", ["Male", "Young"]].to_numpy().tolist() == [[True, True]]
    assert snapshot.embeddings.shape == (8, 96)


def test_one_picture_of_two_people_is_kept_once_and_counted(tmp_path: Path) -> None:
    draw(tmp_path / "one.jpg", 1)
    draw(tmp_path / "two.jpg", 2)
    (tmp_path / "faces.csv").write_text("uri,identity\none.jpg,ada\none.jpg,bob\ntwo.jpg,cleo\nthree.jpg,ada\n")
    config = FOLDER.model_copy(update={"reader": ManifestReader(path=str(tmp_path / "faces.csv"))})
    result = ingest(config, at(tmp_path), workers=1)
    assert (*counts(result), result.reasons) == (4, 2, 1, 1, {"missing": 1})
    account = pq.read_table(Path(result.account_uri.removeprefix("file://")) / "duplicates.parquet").to_pylist()
    assert account == [
        {"name": "one#2.jpg", "identity": "bob", "duplicate_of": "one.jpg", "duplicate_of_identity": "ada"}
    ]
    record = VersionStore(at(tmp_path).store).record("folder-1.0.0")
    assert record.counts.duplicates_across_people == 1


def _child(source: Path, places: Places) -> None:
    plans.BLOCK = 8
    run(source, places)


def test_an_ingestion_killed_again_and_again_ends_as_one_that_was_not(tmp_path: Path) -> None:
    for person in range(24):
        for shot in range(8):
            draw(tmp_path / "photos" / f"person-{person}" / f"{shot}.jpg", person, shot)
    whole = run(tmp_path / "photos", at(tmp_path / "whole"))
    places = at(tmp_path)
    context = multiprocessing.get_context("forkserver")
    # What a child has to import would take most of its life.
    context.set_forkserver_preload(["identity_masker.faces.ingest", "dvc.repo"])
    chance, killed = random.Random(5), 0
    for _ in range(12):
        child = context.Process(target=_child, args=(tmp_path / "photos", places))
        child.start()
        child.join(chance.uniform(0.05, 1.0))
        killed += child.is_alive()
        child.kill()
        child.join()
        for version in VersionStore(places.store).semvers("folder"):
            assert open_from(f"folder-{version}", places, validated=False).id == whole.snapshot
    assert killed >= 3
    assert run(tmp_path / "photos", places).snapshot == whole.snapshot
    again = run(tmp_path / "photos", places)
    assert (again.new_version, again.version, again.read) == (False, "folder-1.0.0", 0)
    assert list((places.home / "data" / ".staging").iterdir()) == []
