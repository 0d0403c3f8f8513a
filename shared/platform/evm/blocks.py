"""Blocks of one node, by height, tag or hash; only those that are on the node's chain."""

from typing import Any, get_args

from shared.payments.chains.ports import Block, BlockGone, NetworkName, Tag
from shared.platform.evm.node import Node, NodeRefused
from shared.platform.evm.reading import block_of

TAGS = get_args(Tag)


class BlockReader:
    """Reader of blocks from one node."""

    def __init__(self, node: Node, network: NetworkName) -> None:
        self._node = node
        self._network = network

    def block(self, at: int | str) -> Block:
        """Return the block at a height, with a hash or with a tag; see `Chain.block`."""
        if isinstance(at, int):
            return self._at_height(at)
        if at in TAGS:
            return self._with_tag(at)
        return self.canonical(at)

    def canonical(self, block: str) -> Block:
        """Return the block with this hash. Raises BlockGone if another block has the height on the node's chain.

        A node may still know a block that it left, so the hash alone proves nothing.
        """
        found = self._asked("eth_getBlockByHash", block)
        if found is None:
            raise BlockGone(self._network)
        if found.hash != block.lower():
            raise self._node.nonsense()
        if self._at_height(found.height).hash != found.hash:
            raise BlockGone(self._network)
        return found

    def full(self, height: int) -> Any:
        """Return the answer for the block at this height with whole transactions. Raises BlockGone."""
        answer = self._node.ask("eth_getBlockByNumber", hex(height), True)
        if answer is None:
            raise BlockGone(self._network)
        return answer

    def _at_height(self, height: int) -> Block:
        found = self._asked("eth_getBlockByNumber", hex(height))
        if found is None:
            raise BlockGone(self._network)
        if found.height != height:
            raise self._node.nonsense()
        return found

    def _with_tag(self, tag: str) -> Block:
        found = self._asked("eth_getBlockByNumber", tag)
        if found is None:
            raise self._node.unavailable(f"a source tells no {tag} block")
        return found

    def _asked(self, method: str, at: str) -> Block | None:
        try:
            answer = self._node.ask(method, at, False)
            return None if answer is None else block_of(answer)
        except NodeRefused as refusal:
            raise self._node.unavailable(f"a source refuses to tell a block: {refusal}") from None
        except ValueError:
            raise self._node.nonsense() from None
