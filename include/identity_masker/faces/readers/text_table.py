"""The text files that come with collections of faces: names with numbers, blanks or commas between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from identity_masker.errors import BadInputError
from identity_masker.faces.readers.files import check_file


class TextTable(NamedTuple):
    """`columns` are the names in the header; `rows` the other fields, by the name in the first one."""

    columns: list[str] | None
    rows: dict[str, list[str]]


def read_table(path: Path, width: int | None = None) -> TextTable:
    """The table in `path`: fields between commas in a `.csv`, else between blanks, maybe under a line with a number.

    A file without a header has `width` fields after the name; with None there is a header, which says how many.
    Raises `BadInputError` with the line that has another number of fields, or a name that stands there twice.
    """
    check_file(path, "the list that came with the collection")
    lines = list(_lines(path))
    if lines and len(lines[0][1]) == 1 and lines[0][1][0].isdigit():
        lines.pop(0)
    columns = _header(lines[0][1], path) if lines and width is None else None
    lines = lines[0 if columns is None else 1 :]
    expected = width if columns is None else len(columns)
    rows: dict[str, list[str]] = {}
    for number, (name, *fields) in lines:
        if expected is not None and len(fields) != expected:
            raise BadInputError(
                "a line of the list has the wrong number of fields",
                got=f"{path.name}, line {number}: {len(fields) + 1} fields",
                allowed=f"a name and {expected} fields between {_between(path)}",
                fix="correct the line, or save the file with this delimiter",
            )
        if name in rows:
            raise BadInputError(
                "the list names a picture twice",
                got=f"{path.name}, line {number}: {name}",
                fix="remove one of the lines",
            )
        rows[name] = fields
    return TextTable(columns, rows)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                fields = [field.strip() for field in line.split(",")] if path.suffix == ".csv" else line.split()
                if any(fields):
                    yield number, fields
    except UnicodeDecodeError as error:
        raise BadInputError(
            "the list is not text", got=f"{path.name}: {error}", fix="save it as UTF-8, or copy it again"
        ) from error


def _header(fields: list[str], path: Path) -> list[str]:
    # A .csv names the column of names too; the other files begin with the first field after it.
    return fields[1:] if path.suffix == ".csv" else fields


def _between(path: Path) -> str:
    return "commas" if path.suffix == ".csv" else "blanks"
