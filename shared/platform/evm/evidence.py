"""Evidence of transfers to an address: logs of a token, or whole blocks for the own coin. Never the truth.

Logs may be missing or lie, and coins that a contract sends show in no transaction.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from shared.payments.chains.ports import Block, BlockGone, Transfer
from shared.platform.evm.blocks import BlockReader
from shared.platform.evm.lookup import address_word
from shared.platform.evm.node import Node, NodeRefused
from shared.platform.evm.reading import address, block_of, hash_of, listing, mapping, quantity, word

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Hash of `Transfer(address,address,uint256)`."""
TOPICS = 3
LOG_BLOCKS_MAX = 2_000
"""Blocks of one call for logs. Public nodes take 50 to 10 000."""
LOG_BLOCKS_MIN = 50
LOG_CALLS_MAX = 20
COIN_BLOCKS_MAX = 10
"""Whole blocks read for one answer about the own coin."""
TRANSFERS_MAX = 100


class EvidenceReader:
    """Reader of transfers from one node."""

    def __init__(self, node: Node, blocks: BlockReader) -> None:
        self._node = node
        self._blocks = blocks

    def of_token(self, receiver: str, contract: str, first: int, last: int) -> Sequence[Transfer]:
        """Return the newest TRANSFERS_MAX transfers that the token's logs tell, oldest first.

        At most LOG_CALLS_MAX calls are made, from the newest block back; older blocks are then left out.
        """
        logs: list[dict[str, Any]] = []
        step, calls = LOG_BLOCKS_MAX, 0
        while last >= first and len(logs) < TRANSFERS_MAX and calls < LOG_CALLS_MAX:
            calls += 1
            start = max(first, last - step + 1)
            try:
                logs = [*self._logs(receiver, contract, start, last), *logs]
            except NodeRefused as refusal:
                if step <= LOG_BLOCKS_MIN or last - start < LOG_BLOCKS_MIN:
                    raise self._node.unavailable(f"a source refuses to tell logs: {refusal}") from None
                step = max(LOG_BLOCKS_MIN, step // 4)
                continue
            last = start - 1
        return self._transfers(logs[-TRANSFERS_MAX:])

    def of_coin(self, receiver: str, first: int, last: int) -> Sequence[Transfer]:
        """Return the transactions that sent coins to this address, in the newest COIN_BLOCKS_MAX of these blocks.

        Blocks beyond the head hold nothing yet.
        """
        start = max(first, last - COIN_BLOCKS_MAX + 1)
        found: list[Transfer] = []
        try:
            for height in range(start, last + 1):
                found += self._coins_in(height, receiver.lower())
            return found
        except BlockGone:
            return found
        except NodeRefused as refusal:
            raise self._node.unavailable(f"a source refuses to tell a block: {refusal}") from None
        except (ValueError, AttributeError):
            raise self._node.nonsense() from None

    def _coins_in(self, height: int, receiver: str) -> Iterator[Transfer]:
        answer = self._blocks.full(height)
        block = block_of(answer)
        for each in listing(answer.get("transactions")):
            sent = mapping(each)
            amount = quantity(sent.get("value"))
            if str(sent.get("to")).lower() == receiver and amount:
                sender = address(sent.get("from"))
                yield Transfer(transaction=hash_of(sent.get("hash")), sender=sender, amount=amount, block=block)

    def _logs(self, receiver: str, contract: str, first: int, last: int) -> list[dict[str, Any]]:
        topics = [TRANSFER_TOPIC, None, f"0x{address_word(receiver)}"]
        wanted = {"address": contract, "fromBlock": hex(first), "toBlock": hex(last), "topics": topics}
        answer = self._node.ask("eth_getLogs", wanted)
        try:
            logs = [mapping(each) for each in listing(answer)]
            return [log for log in logs if _is_of(log, contract, topics[2])]
        except ValueError:
            raise self._node.nonsense() from None

    def _transfers(self, logs: Sequence[dict[str, Any]]) -> Sequence[Transfer]:
        """Return the transfers in these logs. A log of a block that left the chain meanwhile is left out."""
        blocks: dict[str, Block | None] = {}
        found = []
        try:
            for log in logs:
                home = hash_of(log.get("blockHash"))
                if home not in blocks:
                    blocks[home] = self._block(home)
                if blocks[home] is not None:
                    found.append(_transfer_of(log, blocks[home]))
        except ValueError:
            raise self._node.nonsense() from None
        return found

    def _block(self, block: str) -> Block | None:
        try:
            return self._blocks.canonical(block)
        except BlockGone:
            return None


def _is_of(log: dict[str, Any], contract: str, receiver: str | None) -> bool:
    topics = listing(log.get("topics"))
    is_whole = len(topics) == TOPICS and topics[0] == TRANSFER_TOPIC and str(topics[2]).lower() == receiver
    return is_whole and address(log.get("address")) == contract.lower()


def _transfer_of(log: dict[str, Any], block: Block | None) -> Transfer:
    sender = f"0x{hash_of(log['topics'][1])[-40:]}"
    return Transfer(
        transaction=hash_of(log.get("transactionHash")), sender=sender, amount=word(log.get("data")), block=block
    )
