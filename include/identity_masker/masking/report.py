"""What a person looks at after an evaluation: one HTML file with figures and pictures, made from the evidence."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from identity_masker.faces.face_set import FaceSet
from identity_masker.masking.evidence import Attack, Evaluation
from identity_masker.masking.verification import Estimate

if TYPE_CHECKING:
    from identity_masker.masking.masker import Masker

PEOPLE = 10
TILE = 96
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b2430 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .3rem .8rem; border-bottom: 1px solid #dde3ea }
th { text-align: left } td { text-align: right; font-variant-numeric: tabular-nums } td:first-child { text-align: left }
img { max-width: 100%; image-rendering: pixelated } .bad { color: #b3261e } .good { color: #18794e }
"""


def before_after(masker: Masker, faces: FaceSet) -> bytes:
    """One face each of `PEOPLE` people above what `masker` makes of it, as PNG."""
    _, first = np.unique(faces.identities, return_index=True)
    images = faces.images[first[:PEOPLE]]
    masked = masker.mask(images, [f"report/{row}" for row in range(len(images))])
    return contact_sheet(np.stack([images, masked]))


def contact_sheet(rows: NDArray[np.uint8]) -> bytes:
    """Pictures (R, N, S, S, 3) as R rows of N tiles, as PNG."""
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    size = (TILE * rows.shape[1], TILE * len(rows))
    buffer = io.BytesIO()
    Image.fromarray(sheet).resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def html(evidence: Evaluation, picture: bytes) -> str:
    """The report, self-contained."""
    image = base64.b64encode(picture).decode()
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Masker evaluation</title><style>{STYLE}</style>"
        f"<h1>Masker evaluation</h1><p>{_verdict(evidence)}</p>"
        f'<img alt="before and after" src="data:image/png;base64,{image}">'
        f"<h2>Attacks</h2>{_attacks(evidence)}<h2>Use</h2>{_use(evidence)}"
        f"<p>{evidence.people} people whom nothing was trained on, {evidence.photographs} photographs; intervals at "
        f"{evidence.config.confidence:.0%} by bootstrap over people. Took {evidence.seconds:.0f} s.</p></html>"
    )


def _verdict(evidence: Evaluation) -> str:
    strong = evidence.strong()
    power = (
        '<span class="good">The attackers were able to find identity where it was.</span>'
        if evidence.power_ok
        else '<span class="bad">The attackers lack power: this evaluation proves nothing.</span>'
    )
    if strong is None:
        return power
    return (
        f"The strong attacker names the right one of {evidence.people} people in {_share(strong.result.rank1)} of "
        f"masked photographs; guessing gives {evidence.chance:.1%}. {power}"
    )


def _attacks(evidence: Evaluation) -> str:
    head = "<tr><th>attacker<th>pictures<th>gallery<th>rank-1<th>rank-5<th>AUC<th>EER<th>TAR@FAR 1e-2<th>own people"
    return f"<table>{head}{''.join(_row(attack) for attack in evidence.attacks)}</table>"


def _row(attack: Attack) -> str:
    result = attack.result
    own = "" if attack.train_accuracy is None else f"{attack.train_accuracy:.1%}"
    cells = (
        attack.attacker, attack.pictures, attack.gallery, _share(result.rank1), _share(result.rank5),
        _share(result.auc), _share(result.eer), _share(result.tar_at_far_1e2), own,
    )  # fmt: skip
    return f"<tr>{''.join(f'<td>{escape(cell)}' for cell in cells)}"


def _share(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def _use(evidence: Evaluation) -> str:
    table = "<p>Not measured: the photographs have no labels of pose and expression.</p>"
    if evidence.utility is not None:
        rows = [*evidence.utility.groups.items(), ("landmark error", evidence.utility.landmark_error)]
        cells = "".join(f"<tr><td>{escape(name)}<td>{kept.clear:.3f}<td>{kept.masked:.3f}" for name, kept in rows)
        table = f"<table><tr><th>R² of<th>clear<th>masked{cells}</table>"
    psnr = "not measured" if evidence.background_psnr is None else f"{evidence.background_psnr:.1f} dB"
    return (
        f"{table}<p>The masker changed {evidence.changed:.1%} of the pixels; {evidence.unchanged} pictures came back "
        f"unchanged. PSNR outside the heads: {psnr}.</p>"
    )
