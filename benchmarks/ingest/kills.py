"""Ingestions killed with SIGKILL at random moments, one after another over the same home, then one to the end."""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
import time
from pathlib import Path

from benchmarks.ingest.photos import noise, show

from identity_masker.faces import plan as plans
from identity_masker.faces.data_repository import Places
from identity_masker.faces.dataset_config import load_config
from identity_masker.faces.ingest import ingest
from identity_masker.faces.ingest_results import IngestResult
from identity_masker.faces.snapshot import open_from
from identity_masker.faces.versions import VersionStore
from identity_masker.settings import PROJECT

SEED = 3
_SMALL = 64
"""Inputs of a block: few, so that many moments differ."""


def run(images: int, kills: int, seed: int = SEED) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        noise(photos, 0, images)
        whole = _ingest(photos, _places(Path(folder) / "whole"))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["identity_masker.faces.ingest", "dvc.repo"])
        # How long a process takes that has nothing to import any more: in that time lie the moments.
        started = time.perf_counter()
        child = context.Process(target=_ingest, args=(photos, _places(Path(folder) / "timed")))
        child.start()
        child.join()
        seconds = time.perf_counter() - started
        places = _places(Path(folder) / "killed")
        killed, left, versions = 0, [], 0
        # Somewhat more moments than kills: a few processes are quicker than their killer.
        while killed < kills:
            child = context.Process(target=_ingest, args=(photos, places))
            child.start()
            child.join(chance.uniform(0, seconds))
            killed += child.is_alive()
            child.kill()
            child.join()
            left.append(len(list(Path(folder).glob("killed*/store/datasets/folder/work/blocks/*/done.json"))))
            known = VersionStore(places.store).semvers("folder")
            versions = max(versions, len(known))
            for version in known:
                assert open_from(f"folder-{version}", places, validated=False).id == whole.snapshot
            if known and killed < kills:  # the version is made: begin anew
                places = _places(Path(folder) / f"killed-{killed}")
        last = _ingest(photos, places)
        again = _ingest(photos, places)
        rows = [
            (
                f"{images:,}",
                killed,
                max(left),
                versions,
                last.snapshot == whole.snapshot,
                last.accepted,
                again.new_version,
            )
        ]
    columns = ("images", "killed", "blocks kept at most", "versions", "same snapshot", "accepted", "a second version")
    show(columns, rows)
    assert last.snapshot == whole.snapshot
    assert last.accepted == images


def _places(home: Path) -> Places:
    return Places(home, f"file://{home}/store")


def _ingest(photos: Path, places: Places) -> IngestResult:
    plans.BLOCK = _SMALL
    config = load_config("folder", PROJECT / "include" / "config").reading(source=photos, images=None)
    return ingest(config, places, len(os.sched_getaffinity(0)))
