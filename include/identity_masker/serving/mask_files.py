"""Masks picture files: each one alone, so that a bad one does not keep the good ones from being done."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from identity_masker import artifacts
from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.decode import Limits, UndecodableError, check_bytes, decode
from identity_masker.faces.formats import READABLE, format_of
from identity_masker.masking.strength import blended
from identity_masker.serving.model import ServedModel
from identity_masker.serving.pictures import encode
from identity_masker.serving.worker import MaskingFailedError, checked

LIMITS = Limits(max_pixels=4096 * 4096)


class Chosen(NamedTuple):
    """Which face, and how strongly: 0 (as it was) to 1 (in full)."""

    key: str
    strength: float


class Masked(BaseModel):
    """A picture that was done."""

    model_config = ConfigDict(frozen=True)

    input: str
    output: str


class Failed(BaseModel):
    """A picture that was not, and why."""

    model_config = ConfigDict(frozen=True)

    input: str
    reason: str
    detail: str


class MaskedFiles(BaseModel):
    """What became of each input."""

    model_config = ConfigDict(frozen=True)

    model_version: str
    masked: list[Masked]
    failed: list[Failed]


def targets(inputs: Sequence[Path], output: Path | None) -> dict[Path, Path]:
    """Where each input's masked copy goes.

    Without `output`, beside the input as NAME.masked.EXT; with a folder, there under the same name; with a file,
    there, for a single input only. Raises `BadInputError` where a picture would be overwritten or two would meet.
    """
    if not inputs:
        raise BadInputError("there is nothing to mask", allowed="at least one picture file")
    found = {path: _target(path, output, alone=len(inputs) == 1) for path in inputs}
    sources = {path.resolve() for path in inputs}
    for path, target in found.items():
        if target.resolve() in sources:
            raise BadInputError(
                "the masked picture would overwrite an input", got=target, fix=f"choose another --output for {path}"
            )
    if len({target.resolve() for target in found.values()}) < len(found):
        raise BadInputError(
            "two masked pictures would have the same name",
            got=", ".join(sorted({str(t) for t in found.values() if list(found.values()).count(t) > 1})),
            fix="mask them into different folders",
        )
    return found


def _target(path: Path, output: Path | None, *, alone: bool) -> Path:
    if output is None:
        return path.with_name(f"{path.stem}.masked{path.suffix}")
    if output.is_dir() or not alone:
        if output.exists() and not output.is_dir():
            raise BadInputError("several pictures need a folder", got=output, allowed="a folder as --output")
        return output / path.name
    if _format_by_name(output) is None:
        raise BadInputError(
            "the format of the output cannot be told from its name",
            got=output.name,
            allowed=", ".join(extension for names in READABLE.values() for extension in names),
            fix="give --output one of these extensions, or an existing folder",
        )
    return output


def _format_by_name(path: Path) -> str | None:
    suffix = path.suffix.lower()
    return next((name for name, extensions in READABLE.items() if suffix in extensions), None)


def mask_files(
    inputs: Sequence[Path], output: Path | None, model: ServedModel, key: str | None, strength: float = 1.0
) -> MaskedFiles:
    """Mask every input with the face that `key` chooses, or each with one of its own when there is no key, at
    `strength` (0 to 1).

    The format stays, or follows the name of the output. Raises `BadInputError` before any work when the targets
    are not usable; a picture that cannot be masked is listed in the result.
    """
    masked, failed = [], []
    for path, target in targets(inputs, output).items():
        try:
            _mask(path, target, model, Chosen(key or secrets.token_hex(16), strength))
        except UndecodableError as error:
            failed.append(Failed(input=str(path), reason=error.reason, detail=str(error)))
        except NotFoundError as error:
            failed.append(Failed(input=str(path), reason="not_found", detail=str(error)))
        except BadInputError as error:
            failed.append(Failed(input=str(path), reason="not_maskable", detail=str(error)))
        except MaskingFailedError as error:
            failed.append(Failed(input=str(path), reason="masking_failed", detail=str(error)))
        else:
            masked.append(Masked(input=str(path), output=str(target)))
    return MaskedFiles(model_version=model.semver, masked=masked, failed=failed)


def _mask(path: Path, target: Path, model: ServedModel, chosen: Chosen) -> None:
    content = _content(path)
    before = decode(content, LIMITS)
    after = checked(before, model.masker.mask(before[None], [chosen.key])[0])
    after = blended(before, after, chosen.strength)
    name = _format_by_name(target) or format_of(content) or "PNG"
    artifacts.write_bytes(str(target), encode(after, name))


def _content(path: Path) -> bytes:
    try:
        if not path.exists():
            raise NotFoundError("the picture does not exist", got=path, fix="check the path")
        if not path.is_file():
            raise UndecodableError("not_a_file", got=path)
        check_bytes(path.stat().st_size, LIMITS)
        return path.read_bytes()
    except OSError as error:
        raise UndecodableError("unreadable", got=f"{path}: {error.strerror}") from error
