"""LFW and CelebA, laid out as they are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.faces.readers.reading import content, each, people, picture

from identity_masker.errors import BadInputError, NotFoundError
from identity_masker.faces.readers import CelebaReader, LfwReader
from identity_masker.faces.readers.source import Labels

TRAITS = "3\n5_o_Clock_Shadow Male Young\n000001.jpg -1  1 -1\n000002.jpg  1 -1  1\n000009.jpg -1 -1 -1\n"
POINTS = (
    "2\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y\n"
    "000001.jpg 69 109 106 113 77 142 73 152 108 154\n000002.jpg 69 110 107 112 81 135 70 151 108 153\n"
)


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    for name in ("Ada_Byron/Ada_Byron_0001.jpg", "Ada_Byron/Ada_Byron_0002.jpg", "Bo_Li/Bo_Li_0001.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(len(name)))
    (tmp_path / "Bo_Li" / "Ada_Byron_0003.jpg").write_bytes(picture(1))
    return tmp_path


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    (tmp_path / "img_align_celeba").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "img_align_celeba" / f"{number:06d}.jpg").write_bytes(picture(number))
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg 17\n000009.jpg 17\n")
    (tmp_path / "list_attr_celeba.txt").write_text(TRAITS)
    (tmp_path / "list_landmarks_align_celeba.txt").write_text(POINTS)
    return tmp_path


def test_lfw_says_twice_who_it_is(lfw: Path) -> None:
    assert people(LfwReader(path=lfw)) == {
        "Ada_Byron/Ada_Byron_0001.jpg": "Ada_Byron",
        "Ada_Byron/Ada_Byron_0002.jpg": "Ada_Byron",
        "Bo_Li/Ada_Byron_0003.jpg": None,
        "Bo_Li/Bo_Li_0001.jpg": "Bo_Li",
    }


def test_a_list_of_lfw_names_its_pictures_also_missing_ones(lfw: Path) -> None:
    (lfw / "people.txt").write_text("1\n2\nAda_Byron\t1\nBo_Li\t2\n")
    found = each(LfwReader(path=lfw, people=lfw / "people.txt"), content)
    assert list(found) == ["Ada_Byron/Ada_Byron_0001.jpg", "Bo_Li/Bo_Li_0001.jpg", "Bo_Li/Bo_Li_0002.jpg"]
    assert found["Bo_Li/Bo_Li_0002.jpg"] == "missing"
    assert isinstance(found["Bo_Li/Bo_Li_0001.jpg"], bytes)


@pytest.mark.parametrize(
    "line",
    ["Ada_Byron,1", "Ada_Byron\t../../x", "a/b\t1", "Ada_Byron\t1\t2\t3", "Ada\t99999999", "Ada\t²", "Zoë\t1"],
)
def test_a_wrong_line_in_a_list_of_lfw_is_named(line: str, lfw: Path) -> None:
    (lfw / "people.txt").write_bytes(f"Bo_Li\t1\n{line}\n".encode("latin-1"))
    with pytest.raises(BadInputError, match=r"people\.txt, line 2"):
        list(LfwReader(path=lfw, people=lfw / "people.txt").listing())


def test_celeba_has_people_traits_and_points(celeba: Path) -> None:
    reader = CelebaReader(path=celeba)
    assert people(reader) == {"000001.jpg": "2880", "000002.jpg": "17", "000003.jpg": None, "000009.jpg": "17"}
    labels = each(reader, lambda one: one.labels)
    assert isinstance(labels["000001.jpg"], Labels)
    assert labels["000001.jpg"].attributes == {"5_o_Clock_Shadow": False, "Male": True, "Young": False}
    np.testing.assert_array_equal(
        labels["000001.jpg"].anchors, [(69, 109), (106, 113), (77, 142), (73, 152), (108, 154)]
    )
    assert labels["000003.jpg"] == Labels()
    found = each(reader, content)
    assert found["000009.jpg"] == "missing"
    assert found["000001.jpg"] == (celeba / "img_align_celeba" / "000001.jpg").read_bytes()


def test_what_the_lists_of_celeba_say_is_part_of_the_etag(celeba: Path) -> None:
    def etags() -> dict[str, str]:
        return {one.name: one.etag for one in CelebaReader(path=celeba).listing()}

    before = etags()
    (celeba / "list_attr_celeba.txt").write_text(TRAITS.replace("000002.jpg  1", "000002.jpg -1"))
    assert {name for name, etag in etags().items() if etag != before[name]} == {"000002.jpg"}


def test_lists_with_commas_are_read_as_csv(celeba: Path) -> None:
    (celeba / "traits.csv").write_text("image_id,Male\n000001.jpg,1\n")
    reader = CelebaReader(path=celeba, attributes="traits.csv", landmarks=None)
    assert each(reader, lambda one: one.labels)["000001.jpg"] == Labels(attributes={"Male": True})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("identity_CelebA.txt", "000001.jpg;2880\n", r"line 1: 1 fields; expected a name and 1 fields between blanks"),
        ("identity_CelebA.txt", "000001.jpg 1\n000001.jpg 2\n", "names a picture twice; got .*line 2: 000001.jpg"),
        ("identity_CelebA.txt", "\udcff\udcfe", "is not text"),
        ("list_attr_celeba.txt", "1\nMale Young\n000001.jpg 1\n", "line 3: 2 fields; expected a name and 2 fields"),
        ("list_landmarks_align_celeba.txt", "a b\n000001.jpg 1 x\n", "expected x and y of eyes"),
    ],
)
def test_wrong_lists_are_refused_with_the_line(name: str, text: str, said: str, celeba: Path) -> None:
    (celeba / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadInputError, match=said):
        list(CelebaReader(path=celeba).listing())


def test_a_collection_without_its_parts_is_refused(celeba: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no such file; got .*people\.txt"):
        list(CelebaReader(path=celeba, people="people.txt").listing())
    with pytest.raises(NotFoundError, match="does not exist"):
        list(CelebaReader(path=celeba, pictures="img").listing())
    with pytest.raises(NotFoundError, match="pass it with --source"):
        list(LfwReader().listing())
