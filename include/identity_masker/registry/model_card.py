"""The model card of a version, as Markdown and HTML, made from what its run and its registration hold.

After Mitchell et al., Model Cards for Model Reporting (2019): what it is, what for, trained on what, how it was
measured, what it must not be used for, and where everything of it lies.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2

from identity_masker.errors import NotFoundError
from identity_masker.masking.config import ModelConfig
from identity_masker.masking.evidence import Evaluation
from identity_masker.masking.verification import Estimate
from identity_masker.registry import models, run_files, runs

MARKDOWN = "card.md"
HTML = "card.html"
PICTURE = "before-after.png"
TRACES = {
    "model configuration": "model", "dataset version": "dataset", "dataset snapshot": "snapshot",
    "code commit": "code_commit", "code hash": "code_sha256", "configuration hash": "config_sha256",
    "interface": "interface", "artifact hash": "artifact_sha256", "DAG": "dag_id", "DAG run": "dag_run_id",
    "evaluation": "evaluation", "torch": "torch", "threads": "threads", "processor": "processor",
}  # fmt: skip
"""What the card calls each tag of a version or its run."""


@dataclass(frozen=True)
class ModelCard:
    """The card in both forms. `picture` is a PNG; the HTML has it inside, the Markdown names it beside itself."""

    markdown: str
    html: str
    picture: bytes | None

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKDOWN).write_text(self.markdown, encoding="utf-8")
        (folder / HTML).write_text(self.html, encoding="utf-8")
        if self.picture is not None:
            (folder / PICTURE).write_bytes(self.picture)


def make(version: models.ModelVersion) -> ModelCard:
    """The card of `version`. What its run does not hold is said to be missing."""
    run = runs.get_run(version.run_id)
    picture = _picture(run)
    facts = _facts(version, run)
    environment = _environment()
    return ModelCard(
        markdown=environment.get_template("model_card.md.j2").render(facts, picture=None if not picture else PICTURE),
        html=environment.get_template("model_card.html.j2").render(
            facts, picture=None if picture is None else base64.b64encode(picture).decode()
        ),
        picture=picture,
    )


def keep(version: models.ModelVersion) -> None:
    """Make the card of `version`, keep it with its run and show it where MLflow shows the version."""
    card = make(version)
    with TemporaryDirectory(prefix="masker-card-") as folder:
        card.write(Path(folder))
        runs.get_run(version.run_id).log_folder(Path(folder), run_files.CARD)
    models.describe(version.version, card.markdown.replace(f"![before and after]({PICTURE})\n\n", ""))


def _facts(version: models.ModelVersion, run: runs.Run) -> dict[str, Any]:
    tags = {**run.tags, **version.tags}
    evidence = _document(run, run_files.EVIDENCE)
    config = _document(run, run_files.CONFIG)
    return {
        "version": version,
        "judgement": _document(run, run_files.JUDGEMENT),
        "training": _document(run, run_files.TRAINING),
        "parity": _document(run, run_files.PARITY),
        "config": None if config is None else ModelConfig.model_validate(config),
        "evidence": None if evidence is None else Evaluation.model_validate(evidence),
        "traces": {name: tags[tag] for name, tag in TRACES.items() if tags.get(tag)},
        "estimate": _estimate,
    }


def _document(run: runs.Run, path: str) -> Any:
    try:
        return run.read_document(path)
    except NotFoundError:
        return None


def _picture(run: runs.Run) -> bytes | None:
    with TemporaryDirectory(prefix="masker-card-") as folder:
        try:
            return run.fetch(run_files.PICTURE, Path(folder)).read_bytes()
        except NotFoundError:
            return None


def _estimate(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
