"""The fields of a request to a provider that say for which end user it is. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

END_USER_FIELDS = ("user", "safety_identifier")
"""OpenAI's names for it: the older one, and the newer one."""


def replaced(body: Mapping[str, Any], end_user: str) -> dict[str, Any]:
    """Return the body with our pseudonym where the client names an end user; empty drops these fields."""
    kept = {name: value for name, value in body.items() if name not in END_USER_FIELDS}
    named = [name for name in END_USER_FIELDS if body.get(name) is not None]
    return kept | named_by(named, end_user)


def named_by(fields: Collection[str], end_user: str) -> dict[str, Any]:
    """Return the fields that name this end user; none if the pseudonym is empty."""
    return dict.fromkeys(fields, end_user) if end_user else {}


def told(body: Mapping[str, Any], fields: Collection[str], end_user: str) -> dict[str, Any]:
    """Return the body as a provider gets it that knows these `fields`; one that knows none gets none."""
    known = body if fields else {name: value for name, value in body.items() if name not in END_USER_FIELDS}
    return {**known, **named_by(fields, end_user)}
