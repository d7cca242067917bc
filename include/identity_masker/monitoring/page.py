"""Documents with parts that code writes: between `<!-- generated: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re

from identity_masker.errors import BadInputError


def with_part(page: str, name: str, content: str) -> str:
    """`page` with `content` as its part `name`. Raises `BadInputError` when it has no such part."""
    pattern = re.compile(rf"(<!-- generated: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise BadInputError(
            "the page has no such part", got=name, fix=f"add <!-- generated: {name} --> and <!-- end -->"
        )
    return pattern.sub(lambda found: f"{found[1]}\n{content}\n{found[2]}", page, count=1)
