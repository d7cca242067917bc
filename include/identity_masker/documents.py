"""Documents from outside, validated by pydantic models; configuration is YAML in UTF-8."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from identity_masker.errors import BadInputError, NotFoundError

Model = TypeVar("Model", bound=BaseModel)

_SHOWN = 10
_MERGE = "tag:yaml.org,2002:merge"


def load_yaml(model: type[Model], path: Path, what: str, *, fix: str = "check the path") -> Model:
    """The file `path` as `model`; an empty one is an empty mapping. `what` names it in errors.

    Raises `NotFoundError` when there is none, `BadInputError` with the place that is no YAML or with every field that
    does not validate.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFoundError(f"there is no {what}", got=path, fix=fix) from error
    except (OSError, ValueError) as error:
        raise BadInputError(f"the {what} cannot be read", got=f"{path}: {error}", allowed="YAML in UTF-8") from error
    document = parse_yaml(text, what, path)
    if document is not None and not isinstance(document, dict):
        raise BadInputError(
            f"the {what} is not a mapping", got=f"{path}: {type(document).__name__}", allowed="lines of NAME: VALUE"
        )
    return validated(model, document or {}, what, path)


def parse_yaml(text: str, what: str, origin: object) -> Any:
    """The document in `text`. Raises `BadInputError` for what is no YAML and for a key that comes twice."""
    try:
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2026-13-45 is a ValueError
        raise BadInputError(f"the {what} is not YAML", got=f"{origin}: {error}") from error


def validated(
    model: type[Model], document: Any, what: str, origin: object, *, fix: str = "correct the fields named"
) -> Model:
    """`document` as `model`. Raises `BadInputError` with every field that does not validate."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = f"{origin}: {words(error, document)}"
        raise BadInputError(f"the {what} does not validate", got=found, fix=fix) from error


def words(error: ValidationError, document: Any = None) -> str:
    """All findings of pydantic in one line, at most ten of them, with the places in `document` where it is given."""
    findings = [f"{_place(e['loc'], document)}: {e['msg']}" for e in error.errors()]
    more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    return "; ".join(findings[:_SHOWN]) + more


def _place(loc: tuple[int | str, ...], document: Any) -> str:
    """The place as its writer knows it: where there are kinds of a section, pydantic puts the kind's name between."""
    names, at = [], document
    for number, part in enumerate(loc, start=1):
        if isinstance(at, dict) and part not in at and number < len(loc):
            continue
        names.append(str(part))
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            at = None
    return ".".join(names) or "document"


class _Loader(yaml.SafeLoader):
    """YAML 1.1, where a key that comes twice is an error: PyYAML takes the last one and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[object] = []
        for key, _ in node.value:
            name = None if key.tag == _MERGE else self.construct_object(key, deep=True)
            if name is not None and name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} comes twice", key.start_mark)
            seen.append(name)
        return super().construct_mapping(node, deep=deep)
