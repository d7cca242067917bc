"""`python -m identity_masker.cli` is `masker`, for processes that must not depend on PATH."""

from identity_masker.cli.main import run

run()
