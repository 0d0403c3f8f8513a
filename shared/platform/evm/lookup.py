"""Call of the look-up contract: balances of many addresses in many assets, read in one call at one block.

The contract (`emulator/chains/lookup.vy`) is not deployed. The call lends the code to an address that has none.
"""

from collections.abc import Sequence

from shared.platform.evm.lookup_code import LOOKUP_CODE, LOOKUP_SELECTOR

LOOKUP_ADDRESS = "0x" + "c0de" * 10
LOOKUP_OVERRIDE = {LOOKUP_ADDRESS: {"code": LOOKUP_CODE}}
ADDRESSES_MAX = 1_000
TOKENS_MAX = 7
WORD_DIGITS = 64
BALANCE_END = 1 << 255
"""End of the balances that are believed. The contract's mark for "no answer", 2^256 - 1, lies beyond."""


def lookup_data(addresses: Sequence[str], tokens: Sequence[str]) -> str:
    """Return the data of a call for up to ADDRESSES_MAX addresses and TOKENS_MAX tokens, as hex."""
    assert len(addresses) <= ADDRESSES_MAX, "the contract takes no more addresses"
    assert len(tokens) <= TOKENS_MAX, "the contract takes no more tokens"
    heads = _word(64) + _word(64 + 32 * (len(addresses) + 1))
    return f"0x{LOOKUP_SELECTOR}{heads}{_listed(addresses)}{_listed(tokens)}"


def lookup_answer(data: str, addresses: int, tokens: int) -> list[list[int | None]]:
    """Return for each address the balance of the own coin and of each token; None where there was no answer.

    Raises ValueError if `data` is no answer for this number of addresses and tokens.
    """
    width = tokens + 1
    words = [data[at : at + WORD_DIGITS] for at in range(2, len(data), WORD_DIGITS)]
    if len(words) != addresses * width + 2 or int(words[0], 16) != WORD_DIGITS // 2:
        raise ValueError("an answer of another length")
    if int(words[1], 16) != addresses * width or len(words[-1]) != WORD_DIGITS:
        raise ValueError("an answer of another length")
    balances = [believed(int(word, 16)) for word in words[2:]]
    return [balances[at : at + width] for at in range(0, len(balances), width)]


def believed(balance: int) -> int | None:
    """Return the balance, or None for a number that no balance can be."""
    return balance if balance < BALANCE_END else None


def address_word(address: str) -> str:
    """Return an address as a word of 64 hex digits. Raises ValueError if the text is no address."""
    digits = address.removeprefix("0x")
    if len(digits) != len(LOOKUP_ADDRESS) - 2:
        raise ValueError("an EVM address has 40 hex digits")
    return _word(int(digits, 16))


def _listed(addresses: Sequence[str]) -> str:
    return _word(len(addresses)) + "".join(map(address_word, addresses))


def _word(number: int) -> str:
    return f"{number:0{WORD_DIGITS}x}"
