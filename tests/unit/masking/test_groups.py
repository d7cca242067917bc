from __future__ import annotations

import numpy as np
import pytest
from tests.unit.masking.small_faces import faces

from identity_masker.faces.face_set import FACTORS, FaceSet
from identity_masker.faces.render import people
from identity_masker.masking.groups import Told, by_group, tell, worst

FACES = faces(0, 60, 3)


def test_skin_and_hair_follow_what_was_drawn() -> None:
    told = tell(FACES)
    drawn = people.numbers(11, np.array([int(name[1:]) for name in FACES.identities])).numpy()
    tone = drawn[:, people.TRAITS.index("skin_tone")]
    means = [tone[told["skin"] == name].mean() for name in ("darkest third", "middle third", "lightest third")]
    assert means == sorted(means)
    assert means[2] - means[0] > 0.3


def test_a_person_is_in_one_group_of_skin_and_hair() -> None:
    told = tell(FACES)
    for by in ("skin", "hair"):
        for person in np.unique(FACES.identities):
            assert len(set(told[by][FACES.identities == person])) == 1


def test_the_turn_is_the_labelled_yaw() -> None:
    yaw = np.abs(FACES.factors[:, FACTORS.index("yaw")])  # type: ignore[index]
    assert np.array_equal(tell(FACES)["turn"] == "turned", yaw >= 2 / 3)


def test_photographs_without_labels_are_grouped_by_light_alone() -> None:
    assert set(tell(FaceSet(FACES.images, FACES.identities))) == {"light"}


def test_the_group_that_fares_worst_is_named() -> None:
    names = np.array(["a", "b"]).repeat(30)
    who = np.array([f"p{n // 5}" for n in range(60)])
    values = np.where(names == "b", 0.8, 0.2)
    found = by_group({"kind": names}, who, {"rank1": Told(np.arange(60), values)}, 50, 0.95, 0)
    assert {one.name: one.figures["rank1"] for one in found} == {
        "a": pytest.approx((0.2, 0.2, 0.2)), "b": pytest.approx((0.8, 0.8, 0.8))
    }  # fmt: skip
    assert [(figure, one.name) for figure, one in worst(found, 10)] == [("rank1", "b")]
    assert list(worst(found, 31)) == []
