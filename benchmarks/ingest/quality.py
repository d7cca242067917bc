"""Faults planted in pictures of faces, found by an ingestion and by cleanvision with its default settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from benchmarks.ingest.photos import PEOPLE, drawn, show
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from identity_masker.faces.account import DUPLICATES
from identity_masker.faces.data_repository import Places
from identity_masker.faces.dataset_config import load_config
from identity_masker.faces.ingest import ingest
from identity_masker.faces.near_duplicates import near_pairs
from identity_masker.faces.snapshot import open_from
from identity_masker.settings import PROJECT

SIDE = 160
Pixels = NDArray[np.uint8]
FAULTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "dark": lambda image: image.point(lambda value: value * 0.04),
    "light": lambda image: image.point(lambda value: 255 - (255 - value) * 0.02),
    "blurry": lambda image: image.filter(ImageFilter.GaussianBlur(10)),
    "low_information": lambda image: Image.new("RGB", image.size, image.getpixel((80, 80))),
    "odd_aspect_ratio": lambda image: image.resize((SIDE * 4, SIDE // 4)),
    "odd_size": lambda image: image.resize((SIDE * 12, SIDE * 12)),
    "grayscale": lambda image: image.convert("L"),
}
COPIES = ("exact_duplicates", "near_duplicates")
CODE = """
import contextlib, json, os, sys, time, warnings
warnings.simplefilter("ignore")
from cleanvision import Imagelab
started = time.perf_counter()
with contextlib.redirect_stdout(sys.stderr):
    lab = Imagelab(data_path=sys.argv[1])
    lab.find_issues(n_jobs=len(os.sched_getaffinity(0)), verbose=False)
seconds = time.perf_counter() - started
found = {name: [os.path.relpath(path, sys.argv[1]) for path in lab.issues.index[lab.issues[f"is_{name}_issue"]]]
         for name in sys.argv[2].split(",")}
print(json.dumps([seconds, found]))
"""


def run(images: int, planted: int, cleanvision: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        truth = _plant(photos, images, planted)
        seconds, found = _ours(photos, Path(folder) / "home")
        answers = {"masker": (seconds, found)}
        if cleanvision is not None:
            command = [str(cleanvision), "-c", CODE, str(photos), ",".join(truth)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, names = json.loads(done.stdout.splitlines()[-1])
            answers["cleanvision"] = seconds, {fault: set(listed) for fault, listed in names.items()}
        rows = []
        for fault, names in truth.items():
            row: list[object] = [fault.replace("_", " "), len(names)]
            for _, answer in answers.values():
                row += _recall_precision(answer[fault], names)
            rows.append(row)
        columns = ["fault", "planted"]
        columns += [f"{who}: {what}" for who in answers for what in ("recall", "precision")]
        show(columns, rows)
        print()
        show(("", "wall s", "images/s"), [(who, f"{s:.1f}", f"{images / s:,.0f}") for who, (s, _) in answers.items()])


def _plant(photos: Path, images: int, planted: int) -> dict[str, set[str]]:
    """Write the pictures; which names have which fault. Of a copy both pictures count."""
    truth: dict[str, set[str]] = {fault: set() for fault in (*FAULTS, *COPIES)}
    copies = planted // 2
    originals = images - 2 * copies
    for row, pixels in enumerate(drawn(originals, SIDE)):
        name = f"person-{row % PEOPLE:03d}/{row:05d}.jpg"
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        fault = list(FAULTS)[row // planted] if row < planted * len(FAULTS) else None
        image = Image.fromarray(pixels)
        if fault is not None:
            image = FAULTS[fault](image)
            truth[fault].add(name)
        image.save(photos / name, quality=90)
    for number in range(2 * copies):
        row = originals - 1 - number
        name = f"person-{row % PEOPLE:03d}/{row:05d}.jpg"
        other = name.replace(".jpg", "-copy.jpg")
        if number < copies:
            shutil.copy(photos / name, photos / other)
        else:
            with Image.open(photos / name) as image:
                image.resize((SIDE - 16, SIDE - 16), Image.Resampling.LANCZOS).save(photos / other, quality=75)
        truth[COPIES[number >= copies]] |= {name, other}
    return truth


def _ours(photos: Path, home: Path) -> tuple[float, dict[str, set[str]]]:
    """Seconds of the ingestion with the look at its tables, and the names with each fault."""
    config = load_config("folder", PROJECT / "include" / "config").reading(source=photos, images=None)
    places = Places(home, f"file://{home}/store")
    started = time.perf_counter()
    result = ingest(config, places, len(os.sched_getaffinity(0)))
    snapshot = open_from(result.version or "", places, validated=False)
    table = snapshot.manifest.merge(snapshot.descriptors, on="name")
    side = np.sqrt(table["width"] * table["height"])
    ratio = table["width"] / table["height"]
    plain, lit = table["contrast"] < 0.005, table["brightness"].between(0.06, 0.95)
    chosen = {
        # The bounds of include/config/datasets/folder.yaml where it has some.
        "dark": table["brightness"] < 0.06,
        "light": table["brightness"] > 0.95,
        "blurry": (table["sharpness"] < 0.01) & ~plain & lit,
        # A white picture is flat as well, but says so by its brightness.
        "low_information": plain & lit,
        "odd_aspect_ratio": (ratio > 2.5) | (ratio < 0.4),
        "odd_size": (side > 5 * side.median()) | (side < side.median() / 5),
        "grayscale": (table["saturation"] < 1e-3) & ~plain,
    }
    found = {fault: set(table.loc[rows, "name"]) for fault, rows in chosen.items()}
    account = pq.read_table(Path(result.account_uri.removeprefix("file://")) / DUPLICATES).to_pylist()
    found["exact_duplicates"] = {name for row in account for name in (row["name"], row["duplicate_of"])}
    faulty = plain | chosen["dark"] | chosen["light"] | chosen["blurry"]
    hashes = np.where(faulty, 0, table["perceptual_hash"]).astype(np.int64)
    found["near_duplicates"] = set(table["name"].to_numpy()[near_pairs(hashes).ravel()])
    return time.perf_counter() - started, found


def _recall_precision(found: set[str], names: set[str]) -> tuple[str, str]:
    right = len(found & names)
    precision = f"{right / len(found):.0%}" if found else "–"
    return f"{right / len(names):.0%}", precision
