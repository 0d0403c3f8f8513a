"""Balances of many addresses at one block hash, by the best of the ways that a node knows.

1. The look-up contract as state override of one `eth_call`, at a block that must be canonical.
2. The same without the demand, for a node that does not know it; the block is checked afterwards.
3. A JSON-RPC batch of single reads; the block is checked afterwards.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.payments.chains.ports import Levels
from shared.platform.evm.lookup import (
    ADDRESSES_MAX,
    LOOKUP_ADDRESS,
    LOOKUP_OVERRIDE,
    TOKENS_MAX,
    address_word,
    believed,
    lookup_answer,
    lookup_data,
)
from shared.platform.evm.node import INVALID_PARAMETERS, Call, Node, NodeRefused
from shared.platform.evm.reading import data, quantity, word

BALANCE_OF = "0x70a08231"

Tokens = Mapping[str, str]
"""Contract by name of the asset."""
Way = Callable[[str, Sequence[str], Tokens, str], Levels]


class LevelReader:
    """Reader of balances from one node. `require_block` raises BlockGone unless a hash is on the node's chain."""

    def __init__(self, node: Node, require_block: Callable[[str], object]) -> None:
        self._node = node
        self._require_block = require_block
        self._ways: tuple[Way, ...] = (self._of_canonical, self._by_lookup, self._by_batch)
        self._best = 0

    def read(self, block: str, addresses: Sequence[str], coin: str, tokens: Tokens) -> Levels:
        """Return the balances of all these addresses, in the own coin and in the tokens. Raises BlockGone."""
        names = list(tokens)
        found: dict[tuple[str, str], int] = {}
        for at in range(0, len(addresses), ADDRESSES_MAX):
            for first in range(0, max(1, len(names)), TOKENS_MAX):
                part = {name: tokens[name] for name in names[first : first + TOKENS_MAX]}
                found |= self._read(block, addresses[at : at + ADDRESSES_MAX], part, coin)
        return found

    def _read(self, block: str, addresses: Sequence[str], tokens: Tokens, coin: str) -> Levels:
        """Try the ways from the best known one on. Only a way that answers where a better one does not is kept."""
        refusal: NodeRefused | None = None
        for number in range(self._best, len(self._ways)):
            try:
                found = self._ways[number](block, addresses, tokens, coin)
            except NodeRefused as error:
                self._require_block(block)
                refusal = error
                continue
            if refusal is not None and refusal.code == INVALID_PARAMETERS:
                self._best = number
            return found
        raise self._node.unavailable(f"a source refuses to read balances: {refusal}")

    def _of_canonical(self, block: str, addresses: Sequence[str], tokens: Tokens, coin: str) -> Levels:
        return self._look({"blockHash": block, "requireCanonical": True}, addresses, tokens, coin)

    def _by_lookup(self, block: str, addresses: Sequence[str], tokens: Tokens, coin: str) -> Levels:
        found = self._look({"blockHash": block}, addresses, tokens, coin)
        self._require_block(block)
        return found

    def _look(self, at: Mapping[str, Any], addresses: Sequence[str], tokens: Tokens, coin: str) -> Levels:
        """Read by one call of the look-up contract. Raises NodeRefused if the node ignores the state override."""
        call = {"to": LOOKUP_ADDRESS, "data": lookup_data(addresses, list(tokens.values()))}
        answer = self._node.ask("eth_call", call, at, LOOKUP_OVERRIDE)
        if answer == "0x":
            raise NodeRefused(INVALID_PARAMETERS, "the state override was ignored")
        try:
            rows = lookup_answer(data(answer), len(addresses), len(tokens))
        except ValueError:
            raise self._node.nonsense() from None
        names = (coin, *tokens)
        pairs = ((owner, row) for owner, row in zip(addresses, rows, strict=True))
        return {
            (owner, name): level
            for owner, row in pairs
            for name, level in zip(names, row, strict=True)
            if level is not None
        }

    def _by_batch(self, block: str, addresses: Sequence[str], tokens: Tokens, coin: str) -> Levels:
        """Read each balance by a call of its own. A refused call, or an answer without a number, is left out."""
        at = {"blockHash": block}
        calls: list[Call] = []
        for owner in addresses:
            calls.append(("eth_getBalance", (owner, at)))
            data_of = BALANCE_OF + address_word(owner)
            calls += [("eth_call", ({"to": token, "data": data_of}, at)) for token in tokens.values()]
        answers = iter(self._node.ask_all(calls))
        found: dict[tuple[str, str], int] = {}
        for owner in addresses:
            for name in (coin, *tokens):
                read = quantity if name == coin else word
                with contextlib.suppress(ValueError):
                    level = believed(read(next(answers)))
                    if level is not None:
                        found[owner, name] = level
        self._require_block(block)
        if not found and addresses:
            raise self._node.unavailable("a source answers no balance")
        return found
