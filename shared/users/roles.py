"""Roles, and what each of them may do."""

from collections.abc import Iterable

from shared.kernel.errors import Forbidden, InvalidValue
from shared.users.principal import Principal

USER = "user"
SUPPORT = "support"
AUDITOR = "auditor"
ADMIN = "admin"
ROLES = frozenset({USER, SUPPORT, AUDITOR, ADMIN})

READ_USERS = frozenset({SUPPORT, AUDITOR, ADMIN})
READ_AUDIT = frozenset({AUDITOR, ADMIN})
ACT = frozenset({ADMIN})


def require(principal: Principal, allowed: frozenset[str]) -> None:
    """Raise Forbidden unless the principal holds one of the `allowed` roles, as a person and not through an API key."""
    if principal.auth != "firebase" or principal.is_anonymous or not principal.roles & allowed:
        raise Forbidden("This needs a role that you do not have.")


def parse_roles(names: Iterable[str]) -> frozenset[str]:
    """The roles of these names. Raises InvalidValue for one that does not exist."""
    roles = frozenset(names)
    if unknown := sorted(roles - ROLES):
        raise InvalidValue("roles", f"must be of {', '.join(sorted(ROLES))}; {unknown[0]!r} is not one")
    return roles


def known_roles(claim: object) -> frozenset[str]:
    """The roles in a token's `roles` claim; anything else in it means nothing."""
    return frozenset(role for role in claim if role in ROLES) if isinstance(claim, list | tuple) else frozenset()
