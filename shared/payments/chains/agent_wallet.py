"""Wallet of a user's agents in `agent_wallets/{uid}`: the address, and the credits that each API key bought. Pure.

An API key with the scope `top_up` may buy credits up to its spend cap, in each window of the cap.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from shared.kernel.documents import Data, Value
from shared.kernel.errors import Rejected
from shared.kernel.ids import Uid
from shared.kernel.money import Micro, format_credits

COLLECTION = "agent_wallets"


class TopUpCapReached(Rejected):
    """Error for a purchase above the rest of the key's spend cap in the present window. `left` are µcr."""

    code = "top_up_cap_reached"
    amounts = frozenset({"left"})

    def __init__(self, left: int) -> None:
        super().__init__(
            f"This API key may buy {format_credits(Micro(left))} more credits now, by its spend cap.", left=left
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTopUps:
    """Credits that a key bought in a window of its cap, in µcr. `open` are payments that are not decided."""

    window: str
    bought: int = 0
    open: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return the credits that count against the cap."""
        return self.bought + sum(self.open.values())

    def decided(self, paid: Collection[str], unpaid: Collection[str]) -> "KeyTopUps":
        """Return the top-ups once some payments were decided. Payments that came to nothing count no more."""
        bought = self.bought + sum(amount for name, amount in self.open.items() if name in paid)
        left = {name: amount for name, amount in self.open.items() if name not in paid and name not in unpaid}
        return replace(self, bought=bought, open=left)

    def added(self, payment: str, amount: int, cap: int) -> "KeyTopUps":
        """Return the top-ups with one more payment. Raises TopUpCapReached."""
        if self.total + amount > cap:
            raise TopUpCapReached(max(0, cap - self.total))
        return replace(self, open={**self.open, payment: amount})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWallet:
    """Address of a user's agents, and the top-ups of the user's keys by id of the key."""

    uid: Uid
    index: int
    address: str
    keys: Mapping[str, KeyTopUps] = field(default_factory=dict)

    def key(self, key_id: str, window: str) -> KeyTopUps:
        """Return the top-ups of a key in a window."""
        known = self.keys.get(key_id)
        return known if known is not None and known.window == window else KeyTopUps(window=window)

    def with_key(self, key_id: str, top_ups: KeyTopUps) -> "AgentWallet":
        """Return the wallet with other top-ups of a key."""
        return replace(self, keys={**self.keys, key_id: top_ups})


def wallet_path(uid: Uid) -> str:
    """Return the path of the document."""
    return f"{COLLECTION}/{uid}"


def wallet_data(wallet: AgentWallet) -> dict[str, Value]:
    """Return the stored form."""
    keys = {
        name: {"window": each.window, "bought": each.bought, "open": dict(each.open)}
        for name, each in wallet.keys.items()
    }
    return {"uid": wallet.uid, "index": wallet.index, "address": wallet.address, "keys": cast("Value", keys)}


def wallet_from(data: Data) -> AgentWallet:
    """Return the wallet that a stored document describes."""
    stored = cast("Mapping[str, Any]", data)
    keys = {name: KeyTopUps(**each) for name, each in stored["keys"].items()}
    return AgentWallet(uid=Uid(stored["uid"]), index=stored["index"], address=stored["address"], keys=keys)
