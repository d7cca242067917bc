"""Composite Gauss-Legendre quadrature."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from identity_masker.statistics.samples import Floats

NODES_IN_PANEL = 10


def quadrature_between(edges: Floats, nodes_in_panel: int = NODES_IN_PANEL) -> tuple[Floats, Floats]:
    """Nodes and weights on the panels between sorted `edges`; exact for polynomials of degree 2·nodes - 1 in each."""
    base, weights = _legendre(nodes_in_panel)
    half = 0.5 * np.diff(edges)[:, None]
    nodes = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * base
    return nodes.ravel(), (half * weights).ravel()


@lru_cache(maxsize=8)
def _legendre(size: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(size)
    return nodes, weights
