"""What is done with versions that exist: compare, restore to the bit, prove, clear, and forget a person."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.integration.fleet_processes import free_ports
from tests.integration.test_snapshots import FOLDER, add_people, run

from identity_masker import artifacts
from identity_masker.cli.forgetting import ForgetResult, forget_person
from identity_masker.cli.main import main
from identity_masker.errors import BadInputError, ConflictError, MaskerError
from identity_masker.faces import forget, merge, normalise, objects, plan, publication
from identity_masker.faces.data_repository import DataRepository, Places, stored_files
from identity_masker.faces.dataset_config import load_config
from identity_masker.faces.garbage import collect
from identity_masker.faces.ingest import ingest
from identity_masker.faces.restoring import checkout, verify
from identity_masker.faces.snapshot import open_from
from identity_masker.faces.validation import validate
from identity_masker.faces.version_diff import diff
from identity_masker.faces.versions import VersionRecord, VersionStore
from identity_masker.registry import models
from identity_masker.settings import PROJECT, settings

pytestmark = pytest.mark.filterwarnings(
    # What DVC, Great Expectations and their dependencies do on import and in use.
    "ignore:_NoneStep.value will soon raise:DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
    "ignore:module 'sre_:DeprecationWarning",
)
LATER = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home", f"file://{tmp_path}/home/store")


@pytest.fixture
def photos(tmp_path: Path, places: Places) -> Path:
    """A source of which two versions were made: 1.0.0 with 9 people, 1.1.0 with 4 more and without a picture."""
    folder = tmp_path / "photos"
    add_people(folder, range(9))
    run(folder, places)
    add_people(folder, range(9, 13))
    (folder / "person-0" / "0.jpg").unlink()
    assert run(folder, places).version == "folder-1.1.0"
    return folder


def test_a_difference_names_what_came_and_went(photos: Path, places: Places) -> None:
    old, new = (open_from(f"folder-{number}", places, validated=False) for number in ("1.0.0", "1.1.0"))
    found = diff(old, new)
    assert (found.images_added.count, found.images_removed.examples) == (12, ("person-0/0.jpg",))
    assert found.people_added.examples == ("person-10", "person-11", "person-12", "person-9")
    assert (found.people_removed.count, found.people_moved.count, found.images_changed.count) == (0, 0, 0)
    back = diff(new, old)
    assert (back.images_added.examples, back.people_removed.count) == (("person-0/0.jpg",), 4)
    assert diff(old, old).same
    assert not diff(old, old).descriptors


def test_every_version_is_restored_to_the_bit(photos: Path, places: Places, tmp_path: Path) -> None:
    store = VersionStore(places.store)
    shutil.rmtree(places.home / "data")
    for number in ("1.0.0", "1.1.0"):
        record = store.record(f"folder-{number}")
        folder = tmp_path / "out" / number
        folder.parent.mkdir(exist_ok=True)
        told = checkout(record, places, folder)
        assert stored_files(folder) == record.files
        assert told.files == len(record.files)
    with pytest.raises(BadInputError, match="not empty"):
        checkout(record, places, folder)


def test_damage_is_noticed_and_nothing_half_restored(photos: Path, places: Places, tmp_path: Path) -> None:
    record = VersionStore(places.store).record("folder-1.1.0")
    assert verify(record, places).model_dump(include={"ok", "local"}) == {"ok": True, "local": "whole"}
    path, md5 = next((p, m) for p, m in objects.listing(record, places).items() if p.startswith("shards/"))
    copy = DataRepository(places).folder(record.name, record.snapshot) / path
    content = copy.read_bytes()
    copy.unlink()
    copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert verify(record, places).local == "damaged"
    with pytest.raises(MaskerError, match="not those of the version"):
        checkout(record, places, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    stored = Path(objects.uri_of(objects.remote_root(places), md5).removeprefix("file://"))
    stored.chmod(0o600)
    stored.write_bytes(b"other")
    assert (verify(record, places).ok, verify(record, places).damaged) == (False, (path,))
    stored.unlink()
    assert verify(record, places).missing == (path,)


@pytest.mark.parametrize(("content", "words"), [(None, "files is lost"), (b"[]", "files is damaged"), (b"", "damaged")])
def test_without_the_list_of_a_versions_files_nothing_is_cleared(
    photos: Path, places: Places, content: bytes | None, words: str
) -> None:
    record = VersionStore(places.store).record("folder-1.0.0")
    stored = Path(objects.uri_of(objects.remote_root(places), record.dvc.md5).removeprefix("file://"))
    stored.chmod(0o600)
    stored.unlink()
    if content is not None:
        stored.write_bytes(content)
    assert verify(record, places).missing == tuple(sorted(record.files))
    before = list(objects.stored(objects.remote_root(places)))
    with pytest.raises(BadInputError, match=f"{words}; got .*; to fix: restore the store from its backup"):
        collect(places, LATER, remove=True)
    assert list(objects.stored(objects.remote_root(places))) == before


def test_clearing_takes_only_what_no_version_needs(photos: Path, places: Places) -> None:
    store = VersionStore(places.store)
    stray = objects.uri_of(objects.remote_root(places), "ab" + "0" * 30)
    artifacts.write_bytes(stray, b"left by an ingestion that was killed")
    assert collect(places, datetime.now(UTC), remove=True).store_objects == 0  # it may still be at work
    told = collect(places, LATER, remove=False)
    assert (told.store_objects, told.removed, artifacts.exists(stray)) == (1, False, True)
    collect(places, LATER, remove=True)
    assert not artifacts.exists(stray)
    for record in store.records("folder"):
        assert not verify(record, places).missing
    assert verify(store.record("folder-1.0.0"), places).local == "absent"
    assert verify(store.record("folder-1.1.0"), places).local == "whole"
    assert open_from("folder-1.0.0", places, validated=False).manifest["name"].size == 27


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_forgotten_person_is_in_no_version_and_comes_back_by_no_ingestion(
    photos: Path, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VersionStore(places.store)
    before = open_from("folder-1.1.0", places, validated=False)
    validate(before, FOLDER.rules, store)
    faces = before.images([f"person-3/{shot}.jpg" for shot in range(3)])
    kept = before.manifest[before.manifest["identity"] != "person-3"]
    others = before.images(kept["name"].tolist())
    monkeypatch.setenv("MASKER_HOME", str(places.home))
    monkeypatch.setenv("MASKER_MLFLOW_URI", f"http://127.0.0.1:{free_ports(1)}")  # nobody answers there
    settings.cache_clear()
    result_file = tmp_path / "result.json"
    monkeypatch.setenv("MASKER_RESULT", str(result_file))
    assert main(["data", "forget", "person-3"]) == 0
    planned = ForgetResult.model_validate(artifacts.read_json(str(result_file)))
    assert (planned.done, planned.versions) == (False, ("folder-1.0.0", "folder-1.1.0"))
    assert store.state("folder", "1.1.0") == "validated"
    assert main(["data", "forget", "person-3", "--yes"]) == 0
    done = ForgetResult.model_validate(artifacts.read_json(str(result_file)))
    assert (done.new_versions, done.models) == (("folder-1.1.1",), None)
    after = open_from("folder-1.1.1", places, validated=False)
    assert after.manifest["name"].tolist() == kept["name"].tolist()
    assert (after.images(after.manifest["name"].tolist()) == others).all()
    assert after.record.counts.inputs == after.record.counts.accepted == len(kept)
    with pytest.raises(ConflictError, match="asked to be forgotten"):
        open_from("folder-1.1.0", places, validated=False)
    everything = bytes_of(places.home)
    assert [path for path, content in everything.items() if b"person-3" in content] == []
    for path in everything:
        if "/shards/" in path or "/md5/" in path:
            if path.endswith(".dir") or b"PAR1" not in everything[path][:4]:
                continue
            table = pq.read_table(path)
            if "image" in table.column_names:
                assert not {face.tobytes() for face in faces} & set(table["image"].to_pylist())
    validate(after, FOLDER.rules, store)
    # The source still has the pictures: an unchanged one gives the version without them, a changed one refuses them.
    assert run(photos, places).version == "folder-1.1.1"
    add_people(photos, range(20, 21))
    again = run(photos, places)
    assert again.reasons == {"forgotten": 3}
    assert "person-3" not in set(open_from(str(again.version), places, validated=False).manifest["identity"])
    assert main(["data", "forget", "person-3"]) == 2
    settings.cache_clear()


def test_forgetting_one_of_two_leaves_nothing_but_the_record(places: Places, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    add_people(folder, range(2))
    record = VersionStore(places.store).record(str(run(folder, places).version))
    assert forget.make_without("person-1", record, places) is None
    forget.refuse_from_now_on("person-1", {"folder"}, places)
    forget.purge(record, "person-1", places)
    add_people(folder, range(2, 4))
    assert run(folder, places).version == "folder-2.0.0"
    assert list(objects.stored(objects.cache_root(places)))


@pytest.mark.parametrize(
    ("forgotten", "accepted", "reasons"),
    [
        # The copy that person-4 has of a picture of person-3 was its duplicate; now it stands for itself.
        ("person-3", [f"person-4/{shot}.jpg" for shot in (0, 1, 2, "of-3")], {"forgotten": 4}),
        # The copy goes with person-4, the original stays.
        ("person-4", [f"person-3/{shot}.jpg" for shot in range(3)], {"forgotten": 4}),
    ],
)
def test_of_a_picture_under_two_people_only_the_one_of_the_forgotten_goes(
    tmp_path: Path,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    forgotten: str,
    accepted: list[str],
    reasons: object,
) -> None:
    photos = tmp_path / "photos"
    add_people(photos, range(9))
    shutil.copy(photos / "person-3" / "0.jpg", photos / "person-3" / "copy.jpg")
    shutil.copy(photos / "person-3" / "1.jpg", photos / "person-4" / "of-3.jpg")
    first = run(photos, places)
    assert (first.inputs, first.accepted, first.duplicates) == (29, 27, 2)
    monkeypatch.setenv("MASKER_HOME", str(places.home))
    settings.cache_clear()
    monkeypatch.setattr(models, "versions", list)
    done = forget_person(forgotten, None, places, yes=True)
    # Of a version that exists only what it holds can be kept: the copy's own pixels are not in it.
    made = open_from(done.new_versions[0], places, validated=False)
    assert not any(forgotten in name for name in made.manifest["name"])
    assert len(made.manifest) == 24
    counts = made.record.counts
    assert counts.inputs == counts.accepted + counts.quarantined + counts.duplicates
    add_people(photos, range(20, 21))  # something new, so that the source is read again
    again = run(photos, places)
    assert again.inputs == again.accepted + again.quarantined + again.duplicates == 32
    assert again.reasons == reasons
    names = set(open_from(str(again.version), places, validated=False).manifest["name"])
    assert {name for name in names if name.startswith(("person-3/", "person-4/"))} == set(accepted)
    settings.cache_clear()


def test_pictures_made_in_another_way_are_read_anew_into_a_major_version(
    photos: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (plan, merge, publication):
        monkeypatch.setattr(module, "PICTURES_VERSION", normalise.PICTURES_VERSION + 1)
    made = run(photos, places)
    assert (made.version, made.read) == ("folder-2.0.0", 38)
    log = VersionStore(places.store).record("folder-2.0.0").changelog
    assert (log.change, log.images_added, log.images_removed) == ("major", 0, 0)
    assert (run(photos, places).version, run(photos, places).read) == ("folder-2.0.0", 0)


def test_a_record_from_before_pictures_had_a_version_is_of_the_first(photos: Path, places: Places) -> None:
    document = VersionStore(places.store).record("folder-1.0.0").model_dump(mode="json")
    del document["pictures_version"]
    assert VersionRecord.model_validate(document).pictures_version == 1


def test_models_made_with_a_forgotten_person_are_listed(
    photos: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(semver: str, dataset: str) -> models.ModelVersion:
        return models.ModelVersion("1", semver, "run", "source", (), {"architecture": "a", "dataset": dataset})

    registered = [version("1.0.0", "folder-1.0.0"), version("1.1.0", "folder-1.1.0"), version("2.0.0", "other-1.0.0")]
    monkeypatch.setattr(models, "versions", lambda: registered)
    found = forget_person("person-10", None, places, yes=False)
    assert found.versions == ("folder-1.1.0",)
    assert found.models == ("1.1.0 (trained on folder-1.1.0)",)
    assert "--yes" in found.next


def test_rendered_people_are_dealt_by_their_labels(places: Places) -> None:
    config = load_config("rendered", PROJECT / "include" / "config").reading(source=None, images=340)
    splits = config.splits.model_copy(update={"stratify": ("yaw",)})
    made = ingest(config.model_copy(update={"splits": splits}), places, workers=1)
    snapshot = open_from(str(made.version), places, validated=False)
    labels = snapshot.labels
    assert labels is not None
    people = snapshot.manifest.merge(labels, on="name").groupby("identity")
    to_the_right = people["factor_yaw"].agg(lambda values: (values >= 0).sum() * 2 >= len(values))
    split = people["split"].first()
    for side in (True, False):
        mine = split[to_the_right == side]
        for name, share in splits.shares().items():
            assert abs((mine == name).sum() - share * len(mine)) <= 2, (side, name)
    with pytest.raises(BadInputError, match="no picture has the label"):
        ingest(
            config.model_copy(update={"splits": splits.model_copy(update={"stratify": ("hat",)})}), places, workers=1
        )
