"""Facilitator in memory: it brings authorizations to the chains in memory, and a test makes it fail."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, cast

from shared.payments.chains.ports import Chain, Contracts, NetworkName
from shared.payments.facilitator import FacilitatorAnswer, FacilitatorUnavailable
from shared.platform.memory.chain import MemoryChain

Way = Literal["settled", "silent", "lost", "failed", "lying", "unmined", "refused", "mislabelled"]
"""Fate of a payment. `silent`: nothing is sent, no answer. `lost`: sent, no answer. `failed`: sent, and told as
a failure. `lying`: told as settled, but not sent. `unmined`: sent, settled, in no block yet. `refused`: not sent, and
told as a failure. `mislabelled`: sent, and told with the hash of another transaction."""


class MemoryFacilitator:
    """Facilitator over chains in memory; see `Facilitator`. `ways` are those of the next payments, then `settled`.

    `before_answer` is called with each payment: a test lets time pass.
    """

    def __init__(self, chains: Callable[[], Mapping[NetworkName, Chain]]) -> None:
        self._chains = chains
        self.ways: list[Way] = []
        self.asked: list[Mapping[str, Any]] = []
        self.known: Collection[str] | None = ("eip155:*",)
        self.before_answer: Callable[[], object] = lambda: None

    def networks(self) -> Collection[str]:
        """Return all EVM networks, unless a test says otherwise; see `Facilitator.networks`."""
        if self.known is None:
            raise FacilitatorUnavailable
        return self.known

    def settle(self, payload: Mapping[str, Any], requirements: Mapping[str, Any]) -> FacilitatorAnswer:
        """Bring a signed authorization to the chain; see `Facilitator.settle`."""
        self.asked.append(payload)
        self.before_answer()
        way = self.ways.pop(0) if self.ways else "settled"
        if way == "silent":
            raise FacilitatorUnavailable
        is_sent = way not in {"lying", "refused"}
        transaction = self._sent(payload, requirements, is_mined=way != "unmined") if is_sent else ""
        if way == "lost":
            raise FacilitatorUnavailable
        if way in {"failed", "refused"} or (way == "settled" and not transaction):
            return FacilitatorAnswer(is_settled=False, reason="transaction_failed")
        told = "" if way == "mislabelled" else transaction
        return FacilitatorAnswer(is_settled=True, transaction=told or f"0x{1:064x}")

    def _sent(self, payload: Mapping[str, Any], requirements: Mapping[str, Any], *, is_mined: bool) -> str:
        """Put the authorization into a block, and return the hash of the transaction; "" if the chain refused."""
        chain, asset = self._token(requirements)
        signed = payload["payload"]["authorization"]
        nonce, amount = (signed["from"], signed["nonce"]), int(signed["value"])
        transaction = chain.authorize(asset, nonce, requirements["payTo"], amount)
        if not is_mined:
            return transaction
        chain.mine()
        seen = chain.transaction(transaction)
        return transaction if seen is not None and seen.block is not None else ""

    def _token(self, requirements: Mapping[str, Any]) -> tuple[MemoryChain, str]:
        chain_id = int(requirements["network"].removeprefix("eip155:"))
        for chain in self._chains().values():
            if not chain.scans_blocks and cast("Contracts", chain).chain_id() == chain_id:
                found = cast("MemoryChain", chain)
                return found, found.asset_at(requirements["asset"])
        raise FacilitatorUnavailable
