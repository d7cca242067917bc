"""Roles and what they may: include/config/roles.yaml."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from identity_masker.documents import load_yaml
from identity_masker.errors import ForbiddenError, NotFoundError

RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Permission = Annotated[str, Field(pattern=r"^[a-z]+(:[a-z]+)?$")]


class Principal(NamedTuple):
    """Who asks. `token_id` names the token in the audit log and the list of revoked ones."""

    subject: str
    role: str
    token_id: str
    expires_at: float


class Role(BaseModel):
    """What a role may itself, and the roles whose permissions it has too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    includes: tuple[RoleName, ...] = ()
    may: tuple[Permission, ...] = ()


class Roles(RootModel[dict[RoleName, Role]]):
    """All roles of an installation."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, role in self.root.items():
            unknown = sorted(set(role.includes) - set(self.root))
            if unknown:
                raise ValueError(f"role {name} includes {', '.join(unknown)}, which is no role")
        for name in self.root:
            self._expand(name, ())
        return self

    def _expand(self, name: str, above: tuple[str, ...]) -> frozenset[str]:
        if name in above:
            raise ValueError(f"roles include each other in a circle: {' > '.join((*above, name))}")
        role = self.root[name]
        return frozenset(role.may).union(*(self._expand(each, (*above, name)) for each in role.includes))

    @cached_property
    def permissions(self) -> dict[str, frozenset[str]]:
        """What each role may, with what it includes."""
        return {name: self._expand(name, ()) for name in self.root}

    def known(self, role: str) -> str:
        """`role`. Raises `NotFoundError` when there is none of this name."""
        if role not in self.root:
            raise NotFoundError("there is no such role", got=role, allowed=", ".join(sorted(self.root)))
        return role

    def require(self, who: Principal, permission: str) -> None:
        """Raises `ForbiddenError` unless the role of `who` has `permission`; a role that is not known has none."""
        if permission in self.permissions.get(who.role, frozenset()):
            return
        having = sorted(name for name, may in self.permissions.items() if permission in may)
        raise ForbiddenError(
            f"the role {who.role} may not do this",
            got=f"{who.subject} asks for {permission}",
            allowed="one of the roles " + ", ".join(having) if having else "no role has it",
            fix="ask an admin for a token of such a role (`masker token issue`)",
        )


def load_roles(path: Path) -> Roles:
    """The roles in the file. Raises `NotFoundError` without it and `BadInputError` that names each wrong field."""
    return load_yaml(Roles, path, "file of roles")
