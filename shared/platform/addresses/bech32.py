"""Text form of segwit addresses: bech32 for version 0 (BIP 173), bech32m for version 1 (BIP 350)."""

from collections.abc import Iterable, Iterator, Sequence

SYMBOLS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
CHECKSUM_CHARS = 6
FINALS = {0: 1, 1: 0x2BC830A3}
"""Last value of the checksum by the witness version."""
PROGRAM_SIZES = {0: (20, 32), 1: (32,)}
"""Bytes of a program by the witness version."""
GROUP_BITS = 5
_KNOWN = frozenset(SYMBOLS)


def segwit_address(prefix: str, version: int, program: bytes) -> str:
    """Return the address of a witness program."""
    data = [version, *_groups_of_five(program)]
    state = _state([*_expanded(prefix), *data, *[0] * CHECKSUM_CHARS]) ^ FINALS[version]
    checksum = (state >> 5 * place & 31 for place in reversed(range(CHECKSUM_CHARS)))
    return f"{prefix}1{''.join(SYMBOLS[value] for value in (*data, *checksum))}"


def segwit_program(prefix: str, text: str) -> tuple[int, bytes] | None:
    """Return witness version (0 or 1) and program of an address with this prefix; None for any other text."""
    small, start = text.lower(), f"{prefix}1"
    symbols = small.removeprefix(start)
    is_one_case = text in {small, text.upper()}
    if not is_one_case or not small.startswith(start) or len(symbols) <= CHECKSUM_CHARS or not set(symbols) <= _KNOWN:
        return None
    values = [SYMBOLS.index(symbol) for symbol in symbols]
    version, state = values[0], _state([*_expanded(prefix), *values])
    program = _bytes_of(values[1:-CHECKSUM_CHARS])
    if program is None or FINALS.get(version) != state or len(program) not in PROGRAM_SIZES[version]:
        return None
    return version, program


def _bytes_of(values: Sequence[int]) -> bytes | None:
    """Return the bytes that groups of five bits hold; None if the last group holds anything but zeros beyond them."""
    bits = "".join(f"{value:05b}" for value in values)
    whole, rest = bits[: len(bits) // 8 * 8], bits[len(bits) // 8 * 8 :]
    if len(rest) >= GROUP_BITS or "1" in rest or not whole:
        return None
    return int(whole, 2).to_bytes(len(whole) // 8)


def _expanded(prefix: str) -> Sequence[int]:
    return [*(ord(each) >> 5 for each in prefix), 0, *(ord(each) & 31 for each in prefix)]


def _groups_of_five(program: bytes) -> Iterator[int]:
    bits = "".join(f"{byte:08b}" for byte in program)
    for start in range(0, len(bits), 5):
        yield int(bits[start : start + 5].ljust(5, "0"), 2)


def _state(values: Iterable[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & (1 << 25) - 1) << 5 ^ value
        for bit, generator in enumerate(GENERATORS):
            state ^= generator if top >> bit & 1 else 0
    return state
