"""Who is asking: what a verified token or API key says about its bearer."""

from dataclasses import dataclass
from typing import Literal

from shared.kernel.ids import Uid


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
