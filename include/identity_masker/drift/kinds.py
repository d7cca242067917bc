"""What a column is, as far as drift is concerned, from its type in the table."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from identity_masker.drift.column_policy import ColumnPolicy
from identity_masker.errors import BadInputError

Kind = Literal["numeric", "category", "embedding", "time", "empty", "other", "ignored"]
TESTED: frozenset[Kind] = frozenset({"numeric", "category", "embedding"})


def kind_of(name: str, type_: pa.DataType, column: ColumnPolicy) -> Kind:
    """The kind of a column of Arrow type `type_`.

    Raises `BadInputError` when the policy wants a kind that the type cannot be read as.
    """
    found = _kind_of_type(type_)
    if column.kind == "ignore":
        return "ignored"
    if column.kind == "auto" or found == "empty" or column.kind == found:
        return found
    if column.kind == "category" and found == "numeric":
        return "category"
    raise BadInputError(
        f"column {name} is not what the policy says", got=f"{type_}, policy kind {column.kind}", fix="correct its kind"
    )


def _kind_of_type(type_: pa.DataType) -> Kind:
    if pa.types.is_null(type_):
        return "empty"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "numeric"
    if pa.types.is_boolean(type_) or pa.types.is_dictionary(type_) or _is_text(type_):
        return "category"
    if pa.types.is_temporal(type_):
        return "time"
    if _is_list(type_) and (pa.types.is_floating(type_.value_type) or pa.types.is_integer(type_.value_type)):
        return "embedding"
    return "other"


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))
