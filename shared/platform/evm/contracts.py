"""Views of contracts on an EVM chain: a token's decimals, a sanctions oracle, the last round of a Chainlink feed.

https://docs.chain.link/data-feeds/api-reference
"""

from typing import Any

from shared.kernel.clock import SECOND
from shared.payments.chains.ports import FeedRound
from shared.platform.evm.lookup import address_word
from shared.platform.evm.node import Node, NodeRefused
from shared.platform.evm.reading import data, word

DECIMALS = "0x313ce567"
IS_SANCTIONED = "0xdf592f7d"
LATEST_ROUND_DATA = "0xfeaf968c"
WORD_DIGITS = 64
ROUND_WORDS = 5
INT256_SIGN, INT256_RANGE = 2**255, 2**256
DECIMALS_MAX = 255
SECONDS_MAX = 2**40


class ContractReader:
    """Reader of contracts through one node; see `Contracts`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def decimals(self, contract: str) -> int:
        """Return the decimals that a contract states; see `Contracts.decimals`."""
        try:
            found = word(self._view(contract, DECIMALS))
            if found > DECIMALS_MAX:
                raise ValueError("no uint8")
        except ValueError:
            raise self._node.nonsense() from None
        return found

    def is_sanctioned(self, oracle: str, address: str) -> bool:
        """Return True if a sanctions oracle lists an address; see `Contracts.is_sanctioned`."""
        try:
            return word(self._view(oracle, f"{IS_SANCTIONED}{address_word(address)}")) != 0
        except ValueError:
            raise self._node.nonsense() from None

    def feed_round(self, contract: str) -> FeedRound:
        """Return the last round of a feed; see `Contracts.feed_round`."""
        decimals = self.decimals(contract)
        try:
            _, answer, started, updated, _ = _words(data(self._view(contract, LATEST_ROUND_DATA)))
            if max(started, updated) > SECONDS_MAX:
                raise ValueError("no time")
        except ValueError:
            raise self._node.nonsense() from None
        signed = answer - INT256_RANGE if answer >= INT256_SIGN else answer
        return FeedRound(answer=signed, decimals=decimals, started_at=started * SECOND, updated_at=updated * SECOND)

    def _view(self, contract: str, call: str) -> Any:
        try:
            return self._node.ask("eth_call", {"to": contract, "data": call}, "latest")
        except NodeRefused as refusal:
            raise self._node.unavailable(f"a source refuses to read a contract: {refusal}") from None


def _words(answer: str) -> list[int]:
    digits = answer.removeprefix("0x")
    if len(digits) != ROUND_WORDS * WORD_DIGITS:
        raise ValueError("no round")
    return [int(digits[at : at + WORD_DIGITS], 16) for at in range(0, len(digits), WORD_DIGITS)]
