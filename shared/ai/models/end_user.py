"""Fields of a request to a provider that name the end user. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

END_USER_FIELDS = ("user", "safety_identifier")
"""OpenAI's fields for the end user: the older name and the newer name."""


def replaced(body: Mapping[str, Any], end_user: str) -> dict[str, Any]:
    """Return the body with our pseudonym in each end-user field that the client sent.

    If the pseudonym is empty, these fields are dropped.
    """
    kept = {name: value for name, value in body.items() if name not in END_USER_FIELDS}
    named = [name for name in END_USER_FIELDS if body.get(name) is not None]
    return kept | named_by(named, end_user)


def named_by(fields: Collection[str], end_user: str) -> dict[str, Any]:
    """Return the fields that name this end user; none if the pseudonym is empty."""
    return dict.fromkeys(fields, end_user) if end_user else {}


def told(body: Mapping[str, Any], fields: Collection[str], end_user: str) -> dict[str, Any]:
    """Return the body for a provider that knows these `fields`, each filled with the pseudonym.

    If the provider knows no fields, the client's own end-user fields are dropped.
    """
    known = body if fields else {name: value for name, value in body.items() if name not in END_USER_FIELDS}
    return {**known, **named_by(fields, end_user)}
