"""Roles, and the permissions of each."""

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
    """Raise Forbidden unless the principal holds an `allowed` role, as a person and not through an API key."""
    if principal.auth != "firebase" or principal.is_anonymous or not principal.roles & allowed:
        raise Forbidden("This needs a role that you do not have.")


def parse_roles(names: Iterable[str]) -> frozenset[str]:
    """Return the roles with these names. Raises InvalidValue for a name that does not exist."""
    roles = frozenset(names)
    if unknown := sorted(roles - ROLES):
        raise InvalidValue("roles", f"must be of {', '.join(sorted(ROLES))}; {unknown[0]!r} is not one")
    return roles


def known_roles(claim: object) -> frozenset[str]:
    """Return the known roles in a token's `roles` claim. Anything else in the claim is ignored."""
    return frozenset(role for role in claim if role in ROLES) if isinstance(claim, list | tuple) else frozenset()
