"""Makes an examiner of the networks that an evaluation trained on clear photographs, and says what its scores mean."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from identity_masker import artifacts
from identity_masker.masking.alignment import Images, Window
from identity_masker.masking.calibration import CALIBRATION, GRAPH, Calibration
from identity_masker.masking.encoder import Encoder
from identity_masker.masking.examiner_graph import INPUT, OPSET, OUTPUTS, ExaminerGraph
from identity_masker.masking.judge import Finder
from identity_masker.masking.verification import IMPOSTORS_PER_FALSE_ACCEPT

Floats = NDArray[np.float64]
Matrix = tuple[Floats, Floats]
FAR = 1e-3
UNRELATED_QUANTILE = 0.9
LARGEST_TRIAL = 2000
"""Photographs of which all pairs are scored, and from which it is learnt what is a face."""

BATCH, RIDGE, BLOCKS = 256, 0.3, 8
EDGE = 0.02
"""Share of the faces, and of the pictures without one, that may lie beyond the line between them."""


def make_examiner(
    finder: Finder | None, encoder: Encoder, head: Window, known: Images, test: Images,
    identities: NDArray[np.str_], folder: Path, seed: int,
) -> Calibration:  # fmt: skip
    """Write the examiner into `folder`: its networks and, last, its calibration.

    `known` (N, S, S, 3) are photographs that the networks were trained on: from these it learns what is a face.
    `test` (M, S, S, 3) show people of `identities` (M,) who are unknown to it: on these its scores are calibrated.
    """
    graph = ExaminerGraph(finder, encoder, head, known.shape[1]).eval()
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(test))[:LARGEST_TRIAL])
    embeddings, features = _see(graph, test[rows])
    shown = known[np.sort(random.permutation(len(known))[:LARGEST_TRIAL])]
    face = _face_map(_see(graph, shown)[1], _see(graph, destroyed(shown, random))[1])
    others = _see(graph, destroyed(test[rows], random))[1]
    content = _exported(graph, known[:2])
    calibration = Calibration(
        size=known.shape[1],
        finds_landmarks=finder is not None,
        **_meaning(embeddings, identities[rows]),
        faces_found=float(np.mean(_with_one(features) @ face > 0.0)),
        others_found=float(np.mean(_with_one(others) @ face > 0.0)),
        face=tuple(face),
        graph_sha256=hashlib.sha256(content).hexdigest(),
    )
    artifacts.write_bytes(str(folder / GRAPH), content)
    artifacts.write_json(str(folder / CALIBRATION), calibration.model_dump(mode="json"))
    return calibration


def destroyed(images: Images, random: np.random.Generator) -> Images:
    """The images without their faces: blocks in another order, noise of the same colours, or one colour, in turns."""
    made = np.empty_like(images)
    for row, image in enumerate(images):
        way = row % 3
        made[row] = _shuffled(image, random) if way == 0 else _noise(image, random, flat=way == 2)
    return made


def _shuffled(image: Images, random: np.random.Generator) -> Images:
    edge = image.shape[0] // BLOCKS
    blocks = image.reshape(BLOCKS, edge, BLOCKS, edge, 3).swapaxes(1, 2).reshape(-1, edge, edge, 3)
    mixed = blocks[random.permutation(len(blocks))]
    return mixed.reshape(BLOCKS, BLOCKS, edge, edge, 3).swapaxes(1, 2).reshape(image.shape)


def _noise(image: Images, random: np.random.Generator, *, flat: bool) -> Images:
    mean, spread = image.mean(axis=(0, 1)), 0.0 if flat else image.std(axis=(0, 1))
    return np.clip(random.normal(mean, spread, image.shape), 0, 255).astype(np.uint8)


@torch.inference_mode()
def _see(graph: ExaminerGraph, images: Images) -> Matrix:
    """Embeddings (N, D) and features (N, F)."""
    parts = [graph(torch.from_numpy(np.array(images[at : at + BATCH]))) for at in range(0, len(images), BATCH)]
    embeddings, features = (np.concatenate([part[n].double().numpy() for part in parts]) for n in (0, 1))
    return embeddings, features


def _meaning(embeddings: Floats, identities: NDArray[np.str_]) -> dict[str, float]:
    """The scores of all pairs of clear photographs, in the words of `Calibration`."""
    first, second = np.triu_indices(len(embeddings), k=1)
    scores = (embeddings @ embeddings.T)[first, second]
    genuine = (identities[:, None] == identities[None, :])[first, second]
    unrelated = scores[~genuine]
    far = max(FAR, min(0.5, IMPOSTORS_PER_FALSE_ACCEPT / max(len(unrelated), 1)))
    same = float(np.quantile(unrelated, 1.0 - far)) if len(unrelated) else 1.0
    return {
        "same": same,
        "unrelated": min(same, float(np.quantile(unrelated, UNRELATED_QUANTILE))) if len(unrelated) else 0.0,
        "far": far,
        "recall": float(np.mean(scores[genuine] >= same)) if genuine.any() else 0.0,
        "pairs": len(unrelated),
    }


def _face_map(faces: Floats, others: Floats) -> Floats:
    """Linear map (F + 1,) that is above 0 for faces: ridge regression, with the line in the middle of the gap.

    The gap is looked for on every other picture; the map is fitted to the rest, and fits those better than it should.
    """
    features = np.vstack([faces[::2], others[::2]])
    wanted = np.concatenate([np.ones(len(faces[::2])), -np.ones(len(others[::2]))])
    rows = _with_one(features)
    penalty = np.append(RIDGE * len(rows) * (features.var(axis=0) + 1e-6), 0.0)
    found: Floats = np.linalg.solve(rows.T @ rows + np.diag(penalty), rows.T @ wanted)
    low = np.quantile(_with_one(faces[1::2]) @ found, EDGE)
    high = np.quantile(_with_one(others[1::2]) @ found, 1.0 - EDGE)
    found[-1] -= (low + high) / 2.0
    return found


def _with_one(features: Floats) -> Floats:
    return np.hstack([features, np.ones((len(features), 1))])


def _exported(graph: ExaminerGraph, images: Images) -> bytes:
    with TemporaryDirectory(prefix="masker-examiner-") as folder, warnings.catch_warnings():
        # The exporter that torch recommends warns itself, takes ten times as long and needs two packages more.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, (torch.from_numpy(np.array(images)),), Path(folder) / GRAPH, input_names=[INPUT],
            output_names=list(OUTPUTS), dynamic_axes={name: {0: "pictures"} for name in (INPUT, *OUTPUTS)},
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip
        return (Path(folder) / GRAPH).read_bytes()
