from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.unit.serving.support import NegativeMasker, Pixels, noise, poisoned, served_model

from identity_masker.errors import BadInputError
from identity_masker.faces.decode import Limits, decode
from identity_masker.serving.mask_files import mask_files, targets
from identity_masker.serving.pictures import encode

MODEL = served_model()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    path.write_bytes(encode(noise(), "PNG"))
    return path


def test_one_picture_to_one_file(picture: Path, tmp_path: Path) -> None:
    result = mask_files([picture], tmp_path / "out.png", MODEL, "k")
    assert result.failed == []
    assert [done.output for done in result.masked] == [str(tmp_path / "out.png")]
    assert np.array_equal(decode((tmp_path / "out.png").read_bytes(), Limits()), 255 - noise())


def test_below_full_strength_a_picture_is_a_blend_with_its_clear_self(picture: Path, tmp_path: Path) -> None:
    mask_files([picture], tmp_path / "out.png", MODEL, "k", 0.25)
    mixed = decode((tmp_path / "out.png").read_bytes(), Limits())
    clear = noise().astype(float)
    assert np.abs(mixed - (0.75 * clear + 0.25 * (255 - clear))).max() <= 0.5


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP"])
def test_in_a_folder_names_and_formats_stay(tmp_path: Path, name: str) -> None:
    sources = []
    for stem in "ab":
        sources.append(tmp_path / f"{stem}.{name.lower()}")
        sources[-1].write_bytes(encode(noise(), name))
    result = mask_files(sources, tmp_path / "new" / "folder", MODEL, None)
    assert [Path(done.output).name for done in result.masked] == [source.name for source in sources]
    for done in result.masked:
        with Image.open(done.output) as image:
            assert image.format == name


def test_without_output_the_copy_lies_beside_the_picture(picture: Path) -> None:
    mask_files([picture], None, MODEL, None)
    assert picture.with_name("face.masked.png").exists()
    assert picture.read_bytes() == encode(noise(), "PNG")


def test_the_name_of_the_output_chooses_its_format(picture: Path, tmp_path: Path) -> None:
    mask_files([picture], tmp_path / "out.JPG", MODEL, None)
    with Image.open(tmp_path / "out.JPG") as image:
        assert image.format == "JPEG"


def test_bad_pictures_are_listed_and_the_good_ones_done(picture: Path, tmp_path: Path) -> None:
    bad = {
        "empty.png": b"",
        "text.png": b"hello world",
        "cut.png": encode(noise(), "PNG")[:-60],
        "tiny.png": encode(noise(4), "PNG"),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.png").mkdir()
    inputs = [*(tmp_path / name for name in bad), tmp_path / "folder.png", tmp_path / "missing.png", picture]
    result = mask_files(inputs, tmp_path / "out", MODEL, None)
    assert [done.input for done in result.masked] == [str(picture)]
    assert {Path(failed.input).name: failed.reason for failed in result.failed} == {
        "empty.png": "empty",
        "text.png": "not_an_image",
        "cut.png": "truncated",
        "tiny.png": "too_small",
        "folder.png": "not_a_file",
        "missing.png": "not_found",
    }
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["face.png"]


def test_a_picture_on_which_the_model_fails_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(encode(poisoned(), "PNG"))
    with pytest.raises(ValueError, match="poison"):
        mask_files([tmp_path / "p.png"], tmp_path / "out.png", MODEL, None)
    assert not (tmp_path / "out.png").exists()


def test_a_model_that_masks_nothing_writes_nothing(picture: Path, tmp_path: Path) -> None:
    class Lazy(NegativeMasker):
        def mask(self, images: Pixels, keys: object) -> Pixels:
            return images.copy()

    result = mask_files([picture], tmp_path / "out.png", served_model(Lazy()), None)
    assert [failed.reason for failed in result.failed] == ["masking_failed"]
    assert not (tmp_path / "out.png").exists()


def test_metadata_does_not_survive(tmp_path: Path) -> None:
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "planted name"
    Image.fromarray(noise()).save(content, "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    mask_files([tmp_path / "a.jpg"], tmp_path / "b.jpg", MODEL, None)
    assert b"planted" in content.getvalue()
    assert b"planted" not in (tmp_path / "b.jpg").read_bytes()


def test_an_input_is_never_overwritten(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(picture)
    for output in (picture, tmp_path, tmp_path / "link.png"):
        with pytest.raises(BadInputError, match="overwrite"):
            targets([picture], output)


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="the same name"):
        targets([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"], tmp_path / "out")


def test_several_pictures_need_a_folder(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="need a folder"):
        targets([tmp_path / "a.png", tmp_path / "b.png"], picture)


def test_an_output_of_unknown_format_is_refused(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"\.webp"):
        targets([picture], tmp_path / "out.gif")


def test_nothing_to_mask_is_an_error() -> None:
    with pytest.raises(BadInputError):
        targets([], None)
