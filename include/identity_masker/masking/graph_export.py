"""A factor-bottleneck masker as three ONNX graphs, for servers.

reader    pictures (N, 3, H, H) in [0, 1], the matrix (S, H) that resizes them (`resizing`) → factors (N, 16)
remover   pictures (N, 3, H, W), code → pictures with the head filled from outside, and the hole (N, H, W)
redrawer  rows of those, the hole, code, avatars (N,) → masked rows (N, h, W, 3) uint8

Between the first and the second the factors are clamped and rounded, by whoever runs them (`graph_masker`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.onnx import symbolic_helper

from identity_masker import artifacts
from identity_masker.faces.render import backdrop, people
from identity_masker.faces.render.drawing import to_bytes
from identity_masker.faces.render.geometry import Grid, by_name, place_of, plane_of, rows_of_picture
from identity_masker.faces.render.subject import paint_subject
from identity_masker.masking import avatars, graph_files
from identity_masker.masking.hull import inside_hull
from identity_masker.masking.inpaint import fill
from identity_masker.masking.masker import FactorBottleneckMasker
from identity_masker.masking.pictures import LARGEST_SIDE

OPSET = 18
LEVELS = (LARGEST_SIDE - 1).bit_length()
INT32 = 6
PICTURES = {0: "pictures", 2: "rows", 3: "columns"}
ROWS = {0: "pictures", 1: "rows", 2: "columns"}
GRID = {"x": {2: "columns"}, "y": {1: "rows"}}
CODE = {"code": {0: "pictures"}}


class Reader(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor, weights: Tensor) -> Tensor:
        resized = weights @ pictures @ weights.T
        factors: Tensor = self.network(resized * 2 - 1).factors
        return factors


class Remover(nn.Module):
    def forward(self, pictures: Tensor, code: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        hole = inside_hull(plane_of(place_of(by_name(code)), Grid(x, y, 1.0)))
        return fill(pictures, hole, LEVELS), hole


class Redrawer(nn.Module):
    people: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("people", table)

    def forward(
        self, rows: Tensor, hole: Tensor, code: Tensor, avatar: Tensor, x: Tensor, y: Tensor, density: Tensor
    ) -> Tensor:
        grid = Grid(x, y, density)  # type: ignore[arg-type]  # a number that is an input of the graph
        factors, person = by_name(code), people.from_numbers(self.people[avatar])
        plane = plane_of(place_of(factors), grid)
        drawn = rows.clone()
        paint_subject(
            drawn, grid, rows.clone(), backdrop.cloth_cover(plane.body_x, plane.body_y, plane.per_pixel),
            person, factors,
        )  # fmt: skip
        return to_bytes(torch.where(hole.unsqueeze(1), drawn, rows))


def export(masker: FactorBottleneckMasker, folder: Path) -> None:
    """Write the graphs of `masker` into `folder`. Takes some seconds; the masker must be on the processor."""
    config, size = masker.config, masker.size
    pictures, code = torch.zeros(2, 3, size, size), torch.zeros(2, 16)
    hole, avatar = torch.ones(2, size, size, dtype=torch.bool), torch.tensor([0, 1])
    grid = rows_of_picture(size)
    places = {"x": grid.x, "y": grid.y}
    with _integer_operations():
        graphs = {
            graph_files.READER: _exported(
                Reader(masker.network), {"pictures": pictures, "weights": torch.eye(size)},
                {"factors": {0: "pictures"}}, {"pictures": PICTURES, "weights": {1: "rows"}},
            ),
            graph_files.REMOVER: _exported(
                Remover(), {"pictures": pictures, "code": code, **places},
                {"remaining": PICTURES, "hole": ROWS}, {"pictures": PICTURES, **CODE, **GRID},
            ),
            graph_files.REDRAWER: _exported(
                Redrawer(avatars.table(config.avatar_seed, config.avatars)),
                {"rows": pictures, "hole": hole, "code": code, "avatar": avatar, **places,
                 "density": torch.tensor(grid.density)},
                {"masked": ROWS},
                {"rows": PICTURES, "hole": ROWS, "avatar": {0: "pictures"}, **CODE, **GRID},
            ),
        }  # fmt: skip
    description = graph_files.GraphDescription(
        architecture=masker.architecture, size=size, bits=config.bits, avatars=config.avatars,
        sha256={name: artifacts.sha256(content) for name, content in graphs.items()},
    )  # fmt: skip
    graph_files.write(folder, description, graphs)


Axes = dict[str, dict[int, str]]


def _exported(module: nn.Module, inputs: dict[str, Tensor], outputs: Axes, axes: Axes) -> bytes:
    with TemporaryDirectory(prefix="masker-graph-") as folder, warnings.catch_warnings():
        # The exporter that torch recommends takes two minutes for the drawing, this one two seconds.
        warnings.simplefilter("ignore")
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), path, input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={**axes, **outputs}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
        return path.read_bytes()


@contextmanager
def _integer_operations() -> Iterator[None]:
    """The operations on whole numbers that the freckles are hashed with, which this exporter does not know."""
    symbols = {"aten::__xor_": _either, "aten::__and_": _both, "aten::__rshift_": _shifted}
    for name, symbol in symbols.items():
        torch.onnx.register_custom_op_symbolic(name, symbol, OPSET)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in symbols:
            torch.onnx.unregister_custom_op_symbolic(name, OPSET)  # type: ignore[attr-defined]


def _either(graph: Any, one: Any, other: Any) -> Any:
    return graph.op("BitwiseXor", one, graph.op("Cast", other, to_i=INT32))


def _both(graph: Any, one: Any, other: Any) -> Any:
    if symbolic_helper._is_bool(one):
        return graph.op("And", one, other)
    return graph.op("BitwiseAnd", one, graph.op("Cast", other, to_i=INT32))


def _shifted(graph: Any, word: Any, places: Any) -> Any:
    """A shift to the right that keeps the sign, as BitShift takes no int32: clear the low bits, then divide exactly."""
    low = 1 << int(symbolic_helper._maybe_get_const(places, "i"))
    step, mask = (graph.op("Constant", value_t=torch.tensor(value, dtype=torch.int32)) for value in (low, -low))
    return graph.op("Div", graph.op("BitwiseAnd", word, mask), step)
