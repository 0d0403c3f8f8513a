"""Principal: the caller's identity and rights, as a verified token or API key states them."""

from dataclasses import dataclass
from typing import Literal

from shared.kernel.clock import Millis
from shared.kernel.ids import Uid
from shared.users.spend_cap import SpendCap

KEY_SPENDER = "key:"
Scope = Literal["chat", "images", "agents", "read", "top_up"]
SCOPES: tuple[Scope, ...] = ("chat", "images", "agents", "read", "top_up")
TOP_UP: Scope = "top_up"
"""Scope of keys that may buy credits with a signed payment, up to their spend cap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """API key of a caller: the permitted scopes and the spend cap. `cap` is None for a key without a cap."""

    id: str
    scopes: frozenset[Scope]
    cap: SpendCap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Caller whose credential was verified. `roles` are operator roles as the credential states them.

    `email`, `phone` and `name` are None if the credential names none. `key` is None for a user in person.
    """

    uid: Uid
    email: str | None = None
    is_email_verified: bool = False
    phone: str | None = None
    """Phone number in E.164. Firebase states verified numbers only."""
    is_anonymous: bool = False
    roles: frozenset[str] = frozenset()
    auth: Literal["firebase", "api_key"] = "firebase"
    name: str | None = None
    key: KeyUse | None = None
    signed_in_at: Millis | None = None
    """Time at which the user last showed password or code (`auth_time`); None if the credential does not say."""

    @property
    def spender(self) -> str:
        """Return the owner of the caller's holds: the user, or the user's API key."""
        return self.uid if self.key is None else key_spender(self.key.id)


def key_spender(key_id: str) -> str:
    """Return the spender name of an API key."""
    return f"{KEY_SPENDER}{key_id}"


def key_id_of(spender: str, uid: Uid) -> str | None:
    """Return the id of the API key that a spender names; None if the spender is the user `uid` in person."""
    return None if spender == uid or not spender.startswith(KEY_SPENDER) else spender.removeprefix(KEY_SPENDER)
