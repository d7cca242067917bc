"""`python -m benchmarks.validation [--rows N]`: the validation of a version without its pixels, in its own process.

The tables are what a snapshot holds: names, people, splits, two hashes and all descriptors, 40 pictures a person. A
thousand pictures are black and one hash is there twice, so that rules are broken and examples are looked for.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from identity_masker.faces.schema import DESCRIPTOR_COLUMNS, DESCRIPTOR_TABLE, MANIFEST, MANIFEST_COLUMNS
from identity_masker.faces.splits import SPLITS

PICTURES_A_PERSON = 40
BLACK = 1000
_CHUNK = 250_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _validate(options.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), options.rows)
        command = [sys.executable, "-m", "benchmarks.validation", "--worker", folder]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
    print(f"{options.rows:,} rows, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
    print("| step | seconds |\n| --- | --- |")
    for step, seconds in told["seconds"].items():
        print(f"| {step} | {seconds:.1f} |")
    print(f"| together | {sum(told['seconds'].values()):.1f} |\n")
    print(f"CPU time {told['cpu']:.1f} s, peak memory {told['peak_gb']:.2f} GB.")
    print(f"Broken rules found: {', '.join(told['broken'])}.")


def _write(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    with (
        pq.ParquetWriter(folder / MANIFEST, MANIFEST_COLUMNS) as manifest,
        pq.ParquetWriter(folder / DESCRIPTOR_TABLE, DESCRIPTOR_COLUMNS) as descriptors,
    ):
        for start in range(0, rows, _CHUNK):
            numbers = np.arange(start, min(rows, start + _CHUNK))
            names = [f"p{number // PICTURES_A_PERSON:07d}/{number:08d}.jpg" for number in numbers]
            manifest.write_table(_manifest(numbers, names, rng))
            descriptors.write_table(_descriptors(numbers, names, rng))


def _manifest(numbers: np.ndarray, names: list[str], rng: np.random.Generator) -> pa.Table:
    hashes = _hashes(rng, len(numbers))
    twice = list(hashes)
    if numbers[0] == 0:
        twice[1] = twice[0]
    people = numbers // PICTURES_A_PERSON
    columns = {
        "name": names,
        "identity": [f"p{person:07d}" for person in people],
        "split": [SPLITS[person % len(SPLITS)] for person in people],
        "content_hash": hashes,
        "image_hash": twice,
        "format": ["JPEG"] * len(numbers),
        "source_bytes": rng.integers(2_000, 200_000, len(numbers)),
        "width": np.full(len(numbers), 178),
        "height": np.full(len(numbers), 218),
        "shard": [f"shards/train-{number // 512:05d}.parquet" for number in numbers],
        "row": numbers % 512,
    }
    kinds = zip(MANIFEST_COLUMNS.names, MANIFEST_COLUMNS.types, strict=True)
    return pa.table({name: pa.array(columns[name], kind) for name, kind in kinds})


def _hashes(rng: np.random.Generator, count: int) -> list[str]:
    text = rng.bytes(32 * count).hex()
    return [text[at : at + 64] for at in range(0, len(text), 64)]


def _descriptors(numbers: np.ndarray, names: list[str], rng: np.random.Generator) -> pa.Table:
    columns = {}
    for name, kind in zip(DESCRIPTOR_COLUMNS.names[1:], DESCRIPTOR_COLUMNS.types[1:], strict=True):
        values = rng.uniform(0.1, 0.45, len(numbers)).astype(np.float32)
        if name == "brightness":
            values[numbers < BLACK] = 0.0
        if name == "jpeg_quality":
            values = values * 100 + 20
        columns[name] = pa.array(rng.integers(-(2**62), 2**62, len(numbers)) if kind == pa.int64() else values, kind)
    return pa.table({"name": pa.array(names), **columns}, schema=DESCRIPTOR_COLUMNS)


def _validate(folder: Path) -> None:
    """What `masker data validate` does with the tables of a version."""
    from identity_masker.faces import expectations, integrity
    from identity_masker.faces.dataset_config import load_config
    from identity_masker.faces.tables import give_back, image_table, people_table
    from identity_masker.settings import PROJECT

    seconds = {}
    started = time.monotonic()
    images = image_table(*(pq.read_table(folder / name, pre_buffer=False) for name in (MANIFEST, DESCRIPTOR_TABLE)))
    people = people_table(images, None, datetime.now(UTC).date())
    seconds["read and join"] = time.monotonic() - started
    started = time.monotonic()
    schema = integrity.schema(images)
    seconds["Pandera: schema"] = time.monotonic() - started
    config = load_config("folder", PROJECT / "include" / "config")
    derived = ("near_duplicates", "identity_margin")
    rules = {
        name: rule
        for name, rule in config.rules.items()
        if rule.table in ("images", "people") and not rule.column.startswith(derived) and rule.column != "consent"
    }
    started = time.monotonic()
    tables = expectations.needed({"images": images, "people": people}, rules)
    del images, people
    give_back()
    found = expectations.judge(tables, rules, folder / "gx", "benchmark")
    seconds[f"Great Expectations: {len(rules)} rules, Data Docs"] = time.monotonic() - started
    cpu = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    broken = [f"{each.rule} ({each.failed})" for each in [schema, *found] if not each.ok or each.failed]
    print(json.dumps({"seconds": seconds, "peak_gb": peak, "cpu": cpu, "broken": broken}))


if __name__ == "__main__":
    main()
