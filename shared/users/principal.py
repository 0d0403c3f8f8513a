"""Who is asking: what a verified token or API key says about its bearer."""

from dataclasses import dataclass
from typing import Literal

from shared.kernel.ids import Uid
from shared.users.spend_cap import SpendCap

KEY_SPENDER = "key:"
Scope = Literal["chat", "images", "agents", "read"]
SCOPES: tuple[Scope, ...] = ("chat", "images", "agents", "read")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """The API key that a caller came with: what it may be used for, and how much it may spend."""

    id: str
    scopes: frozenset[Scope]
    cap: SpendCap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller whose credential was verified. `roles` are operator roles as the credential states them."""

    uid: Uid
    email: str | None = None
    is_email_verified: bool = False
    phone: str | None = None
    """In E.164; Firebase only states a number that was verified."""
    is_anonymous: bool = False
    roles: frozenset[str] = frozenset()
    auth: Literal["firebase", "api_key"] = "firebase"
    name: str | None = None
    key: KeyUse | None = None

    @property
    def spender(self) -> str:
        """Who a hold belongs to: the user, or one of their keys."""
        return self.uid if self.key is None else key_spender(self.key.id)


def key_spender(key_id: str) -> str:
    """Return the spender that an API key is."""
    return f"{KEY_SPENDER}{key_id}"


def key_id_of(spender: str, uid: Uid) -> str | None:
    """Return the id of the API key that a spender is; None if the spender is the user `uid` in person."""
    return None if spender == uid or not spender.startswith(KEY_SPENDER) else spender.removeprefix(KEY_SPENDER)
