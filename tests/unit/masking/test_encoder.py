from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from identity_masker.masking.encoder import AngularMargin, Encoder, class_means, embed, to_tensor
from identity_masker.masking.evaluation_config import EncoderConfig

SMALL = EncoderConfig(size=32, widths=(4, 8, 8, 8), embedding=16)


def test_without_margin_the_loss_is_the_softmax_of_cosines() -> None:
    torch.manual_seed(0)
    embeddings, people = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 0, 1])
    head = AngularMargin(torch.randn(4, 5), margin=0.0, scale=10.0)
    plain = functional.cross_entropy(10.0 * head.cosines(embeddings), people)
    assert head(embeddings, people).item() == pytest.approx(plain.item(), rel=1e-4)


def test_the_margin_adds_to_the_angle_of_the_own_person() -> None:
    head = AngularMargin(torch.eye(2), margin=0.4, scale=1.0)
    angle = 0.3
    embedding = torch.tensor([[math.cos(angle), math.sin(angle)]])
    own, other = math.cos(angle + 0.4), math.sin(angle)
    right = math.log(1 + math.exp(other - own))
    assert head(embedding, torch.tensor([0])).item() == pytest.approx(right, rel=1e-4)


def test_an_embedding_on_its_class_weight_has_finite_gradients() -> None:
    head = AngularMargin(torch.eye(3), margin=0.3, scale=12.0)
    embeddings = torch.eye(3, requires_grad=True)
    head(embeddings, torch.arange(3)).backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_embeddings_have_unit_length_and_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    encoder = Encoder(SMALL)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    together = embed(encoder, images)
    assert together.shape == (5, 16)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0)
    assert np.allclose(together[2], embed(encoder, images[2:3])[0], atol=1e-5)


def test_a_picture_and_its_mirror_image_embed_alike() -> None:
    torch.manual_seed(0)
    encoder = Encoder(SMALL)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    assert np.allclose(embed(encoder, images), embed(encoder, images[:, :, ::-1]), atol=1e-5)


def test_pixels_map_to_minus_one_to_one() -> None:
    pictures = to_tensor(np.array([[[[0, 255, 51]]]], np.uint8))
    assert pictures.shape == (1, 3, 1, 1)
    assert pictures.flatten().tolist() == pytest.approx([-1.0, 1.0, -0.6])


def test_class_means_are_means_by_person() -> None:
    means = class_means(np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 0]))
    assert means.tolist() == [[2.0, 0.0], [0.0, 1.0]]
