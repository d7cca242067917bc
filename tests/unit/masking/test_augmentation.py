from __future__ import annotations

import numpy as np
import torch

from identity_masker.faces import render
from identity_masker.faces.face_set import FACTORS
from identity_masker.faces.render import people
from identity_masker.faces.render.geometry import by_name, rows_of_picture
from identity_masker.faces.render.subject import paint_subject
from identity_masker.masking.augmentation import mirror, vary_light
from identity_masker.masking.supervision import Batch

SYMMETRIC = {"hair_parting": 0.5, "freckles": 0.0, "mole_size": 0.0, "second_mole_size": 0.0, "hair_stripes": 0.5}


def symmetric_person() -> people.Person:
    unit = torch.full((1, len(people.TRAITS)), 0.5)
    for name, value in SYMMETRIC.items():
        unit[0, people.TRAITS.index(name)] = value
    return people.from_numbers(unit)


def test_the_mirrored_labels_are_those_of_the_mirrored_picture() -> None:
    """Drawing with mirrored factors gives the mirror image, but for highlights in eyes and strands of hair."""
    factors = torch.rand(1, 16, generator=torch.Generator().manual_seed(3)) - 0.5
    mirrored = mirror(Batch(torch.zeros(1, 4, 4, 3, dtype=torch.uint8), factors), torch.tensor([True])).factors
    pictures = []
    for values in (factors, mirrored):
        canvas = torch.full((1, 3, 64, 64), 0.5)
        cover = torch.zeros(1, 64, 64)
        paint_subject(canvas, rows_of_picture(64), canvas.clone(), cover, symmetric_person(), by_name(values))
        pictures.append(canvas)
    assert float((pictures[0].flip(-1) - pictures[1]).abs().mean()) < 0.01
    assert float((pictures[0] - pictures[1]).abs().mean()) > 0.02


def test_mirroring_twice_gives_the_batch_back_and_rows_not_chosen_stay() -> None:
    drawn = render.draw(5, np.arange(4), np.arange(4), 64)
    batch = Batch(torch.from_numpy(drawn.images), torch.from_numpy(drawn.factors))
    chosen = torch.tensor([True, False, True, False])
    once = mirror(batch, chosen)
    twice = mirror(once, chosen)
    assert torch.equal(twice.images, batch.images)
    assert torch.equal(twice.factors, batch.factors)
    assert torch.equal(once.images[1], batch.images[1])
    assert float(once.factors[0, FACTORS.index("yaw")]) == -float(batch.factors[0, FACTORS.index("yaw")])


def test_varied_light_keeps_the_range_and_repeats_with_the_generator() -> None:
    pictures = torch.rand(3, 3, 16, 16) * 2 - 1
    one, two = (vary_light(pictures, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    assert float(one.abs().max()) <= 1
    assert not torch.equal(one, pictures)
