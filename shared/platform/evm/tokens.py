"""Tokens with signed authorizations (EIP-3009) through one node: the domain, and the nonces that were used."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from shared.payments.chains.authorizations import TokenDomain
from shared.payments.chains.ports import Nonce
from shared.platform.evm.node import Call, Node, NodeRefused
from shared.platform.evm.reading import data, word

NAME, VERSION, SEPARATOR = "0x06fdde03", "0x54fd4d50", "0x3644e515"
AUTHORIZATION_STATE = "0xe94a0102"
WORD_DIGITS = 64
TEXT_BYTES_MAX = 100
NOBODY = f"0x{0:040x}", f"0x{0:064x}"
FALSE, TRUE = 0, 1


class TokenReader:
    """Reader of tokens; see `Tokens`. `require_block` raises BlockGone for a block that left the chain."""

    def __init__(self, node: Node, require_block: Callable[[str], object]) -> None:
        self._node = node
        self._require_block = require_block

    def domain(self, contract: str) -> TokenDomain | None:
        """Return the domain that a contract states; see `Tokens.token_domain`."""
        views = (NAME, VERSION, SEPARATOR, _state_call(NOBODY))
        calls: list[Call] = [("eth_call", ({"to": contract, "data": view}, "latest")) for view in views]
        answers = self._asked(calls)
        if any(isinstance(answer, NodeRefused) or answer == "0x" for answer in answers):
            return None
        try:
            name, version, separator, state = answers
            _flag(state)
            return TokenDomain(name=_text(name), version=_text(version), separator=f"0x{word(separator):064x}")
        except ValueError:
            return None

    def used(self, block: str, contract: str, nonces: Collection[Nonce]) -> Collection[Nonce]:
        """Return the used nonces in the state after a block; see `Tokens.used_nonces`."""
        asked, at = sorted(nonces), {"blockHash": block}
        calls: list[Call] = [("eth_call", ({"to": contract, "data": _state_call(each)}, at)) for each in asked]
        answers = self._asked(calls)
        self._require_block(block)
        for answer in answers:
            if isinstance(answer, NodeRefused):
                raise self._node.unavailable(f"a source refuses to read a nonce: {answer}")
        try:
            return frozenset(nonce for nonce, answer in zip(asked, answers, strict=True) if _flag(answer))
        except ValueError:
            raise self._node.nonsense() from None

    def _asked(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Return the answers. Raises ChainUnavailable if the node refuses the request as a whole."""
        try:
            return self._node.ask_all(calls) if calls else ()
        except NodeRefused as refusal:
            raise self._node.unavailable(f"a source refuses to read a token: {refusal}") from None


def _state_call(nonce: Nonce) -> str:
    payer, number = (part.removeprefix("0x") for part in nonce)
    return f"{AUTHORIZATION_STATE}{payer:>0{WORD_DIGITS}}{number}"


def _flag(answer: Any) -> bool:
    found = word(answer)
    if found not in {FALSE, TRUE}:
        raise ValueError("no bool")
    return found == TRUE


def _text(answer: Any) -> str:
    """Return the text in an answer: place, length, bytes. Raises ValueError."""
    raw = bytes.fromhex(data(answer).removeprefix("0x"))
    place = int.from_bytes(raw[:32])
    length = int.from_bytes(raw[place : place + 32]) if place <= len(raw) else TEXT_BYTES_MAX + 1
    text = raw[place + 32 : place + 32 + length] if length <= TEXT_BYTES_MAX else b""
    if not text or len(text) != length:
        raise ValueError("no text")
    return text.decode()
