from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from identity_masker.errors import BadInputError
from identity_masker.faces import render
from identity_masker.faces.face_set import FACTORS, LANDMARKS
from identity_masker.faces.render import Rendered, backdrop, people
from identity_masker.faces.render.drawing import landmarks_of
from identity_masker.faces.render.geometry import by_name, rows_of_picture
from identity_masker.faces.render.subject import paint_subject

PEOPLE = np.arange(21) % 5
SHOTS = np.arange(21)
FIELDS = ("images", "factors", "landmarks", "face", "head")


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def drawn() -> Rendered:
    return render.draw(7, PEOPLE, SHOTS, 64)


@pytest.mark.parametrize("size", [64, 97])
def test_an_image_is_equal_to_the_bit_alone_and_in_a_batch_of_any_size(size: int) -> None:
    torch.set_num_threads(1)
    whole = render.draw(7, PEOPLE, SHOTS, size)
    for threads, at, count in ((1, 20, 1), (2, 0, 1), (1, 5, 3), (2, 11, 7), (2, 2, 13)):
        torch.set_num_threads(threads)
        rows = slice(at, at + count)
        part = render.draw(7, PEOPLE[rows], SHOTS[rows], size)
        for field in FIELDS:
            assert np.array_equal(getattr(part, field), getattr(whole, field)[rows]), (field, threads, count)


def test_images_come_with_labels_in_range(drawn: Rendered) -> None:
    assert drawn.images.shape == (21, 64, 64, 3)
    assert drawn.images.dtype == np.uint8
    assert drawn.factors.shape == (21, len(FACTORS))
    assert np.abs(drawn.factors).max() <= 1
    assert drawn.landmarks.shape == (21, LANDMARKS, 2)
    assert drawn.landmarks.min() > 0
    assert drawn.landmarks.max() < 1


def test_landmarks_lie_on_the_head(drawn: Rendered) -> None:
    for head, points in zip(drawn.head, drawn.landmarks, strict=True):
        columns, rows = (points * 64).astype(int).T
        # The chin lies on the outline, so within a pixel of the mask.
        assert head[rows[:9], columns[:9]].all()
        assert head[max(0, rows[9] - 2) : rows[9] + 1, columns[9]].any()


def test_the_face_is_a_part_of_the_head(drawn: Rendered) -> None:
    assert not (drawn.face & ~drawn.head).any()
    assert (drawn.face.mean(axis=(1, 2)) > 0.05).all()


def test_another_person_in_the_same_scene_changes_the_head_and_nothing_else() -> None:
    others = (PEOPLE + 2) % 5
    scene, swapped = render.draw(7, PEOPLE, SHOTS, 64), render.draw_as(7, PEOPLE, SHOTS, others, 64)
    assert np.array_equal(scene.factors, swapped.factors)
    assert np.array_equal(swapped.people, others)
    either = grown(scene.head | swapped.head)
    assert np.array_equal(scene.images[~either], swapped.images[~either])
    assert (np.abs(scene.images.astype(int) - swapped.images).mean(axis=(1, 2, 3)) > 1).all()


def test_drawing_a_person_as_themselves_changes_nothing(drawn: Rendered) -> None:
    assert np.array_equal(render.draw_as(7, PEOPLE, SHOTS, PEOPLE, 64).images, drawn.images)


def test_people_of_another_world_are_other_people() -> None:
    here = render.draw_as(7, PEOPLE, SHOTS, PEOPLE, 64, others_seed=7)
    there = render.draw_as(7, PEOPLE, SHOTS, PEOPLE, 64, others_seed=8)
    assert np.array_equal(here.factors, there.factors)
    assert not np.array_equal(here.images, there.images)


def test_seeds_and_shots_give_other_scenes(drawn: Rendered) -> None:
    assert not np.array_equal(render.draw(8, PEOPLE, SHOTS, 64).factors, drawn.factors)
    assert len(np.unique(drawn.factors[:, 0])) == len(drawn.factors)


@pytest.mark.parametrize(
    ("factor", "low", "high", "top", "bottom"),
    [
        ("blink", -1.0, 1.0, -0.35, 0.15), ("gaze_x", -0.9, 0.9, -0.35, 0.15), ("gaze_y", -0.9, 0.9, -0.35, 0.15),
        ("brow", -1.0, 1.0, -0.65, 0.0), ("mouth_open", -1.0, 1.0, 0.3, 0.9), ("smile", -1.0, 1.0, 0.3, 0.9),
    ],
)  # fmt: skip
def test_expression_shows_at_64_pixels_in_its_part_of_the_face(
    factor: str, low: float, high: float, top: float, bottom: float
) -> None:
    pictures = [portrait({"blink": -0.5, factor: value}) for value in (low, high)]
    change = (pictures[0] - pictures[1]).abs().sum(dim=(0, 2))
    height = (torch.arange(64) * 2 + 1 - 64) / 64
    in_head_units = (height + 0.08) / 0.60
    inside = (in_head_units > top) & (in_head_units < bottom)
    assert float(change[inside].sum()) > 3.0
    assert float(change[~inside].sum()) < 0.02 * float(change[inside].sum())


def test_landmarks_follow_the_factors_with_a_gradient() -> None:
    person = people.from_numbers(people.numbers(1, np.arange(3)))
    factors = torch.zeros(3, 16, requires_grad=True)
    landmarks_of(person, factors).sum().backward()  # type: ignore[no-untyped-call]
    assert factors.grad is not None
    assert bool((factors.grad[:, [FACTORS.index("shift_x"), FACTORS.index("smile")]] != 0).all())


@pytest.mark.parametrize("size", [0, 63, 257])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(BadInputError, match="64 to 256"):
        render.draw(1, PEOPLE, SHOTS, size)


@pytest.mark.parametrize(
    ("owners", "shots"),
    [(np.arange(3), np.arange(2)), (np.arange(0), np.arange(0)), (np.array([-1]), np.array([0]))],
)
def test_indices_that_mean_nothing_are_refused(owners: NDArray[np.int64], shots: NDArray[np.int64]) -> None:
    with pytest.raises(BadInputError):
        render.draw(1, owners, shots, 64)


def portrait(values: dict[str, float]) -> torch.Tensor:
    """A person from the front on grey, with the given factors."""
    factors = torch.zeros(1, 16)
    for name, value in values.items():
        factors[0, FACTORS.index(name)] = value
    canvas, grid = torch.full((1, 3, 64, 64), 0.5), rows_of_picture(64)
    person = people.from_numbers(torch.full((1, len(people.TRAITS)), 0.5))
    paint_subject(canvas, grid, canvas.clone(), torch.zeros(1, 64, 64), person, by_name(factors))
    return canvas[0]


def grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and its neighbours: pixels at its edge are covered by less than half."""
    wide = np.pad(mask, ((0, 0), (2, 2), (2, 2)))
    return np.any([wide[:, r : r + 64, c : c + 64] for r in range(5) for c in range(5)], axis=0)


def test_the_background_does_not_depend_on_which_rows_are_drawn() -> None:
    from identity_masker.faces.render import scenes

    scene = scenes.scenes(3, np.arange(2), np.arange(2))
    whole = backdrop.background(scene, rows_of_picture(64))
    assert torch.equal(backdrop.background(scene, rows_of_picture(64, 10, 25)), whole[:, :, 10:25])


def test_a_batch_in_one_piece_on_a_device_is_what_is_drawn_in_chunks(drawn: Rendered) -> None:
    images, factors = render.draw_on(torch.device("cpu"), 7, PEOPLE, SHOTS, 64)
    assert np.array_equal(images.numpy(), drawn.images)
    assert np.array_equal(factors.numpy(), drawn.factors)
