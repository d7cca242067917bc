"""`masker serve` as it stands, saying its address in its first line of output: `… masker_server FOLDER`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.events.quiet import quiet
from benchmarks.serving.null_server import announce

from identity_masker.serving import model
from identity_masker.serving.engine.loader import Loader
from identity_masker.serving.queueing import CALL_PIXELS
from identity_masker.serving.serve import ServeOptions, serve

if __name__ == "__main__":
    quiet()
    options = ServeOptions(port=0, drain_seconds=1.0)
    largest = 3 * max(options.server.limits.max_pixels, CALL_PIXELS)
    serve(options, Loader(partial(model.in_folder, Path(sys.argv[1])), threads=1, largest=largest), announce=announce)
