"""What a source gives: metric families, and samples of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

Kind = Literal["gauge", "counter"]


class Family(NamedTuple):
    """A metric: its name (a counter's without `_total`), what it means, and the names of its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Kind = "gauge"

    def sample(self, value: float, *labels: object) -> Sample:
        """A value of this metric. Raises ValueError when the labels are not as many as the family has."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has labels {self.labels}, got {labels}")
        return Sample(self, tuple(str(label) for label in labels), float(value))

    @property
    def series(self) -> str:
        """The name that queries use."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


class Sample(NamedTuple):
    """One value."""

    family: Family
    labels: tuple[str, ...]
    value: float


class Source(Protocol):
    """Reads recorded state. `every`: seconds between two reads."""

    name: str
    every: float

    @property
    def families(self) -> Sequence[Family]:
        """All metrics that `read` may give."""
        ...

    def read(self) -> Iterable[Sample]:
        """The present samples. Raises `MaskerError` when the state cannot be read."""
        ...


def one_of(family: Family, values: Iterable[str], now: str | None, *labels: object) -> list[Sample]:
    """A sample for each of `values` as the family's last label: 1 for `now`, 0 for the others."""
    return [family.sample(value == now, *labels, value) for value in values]
