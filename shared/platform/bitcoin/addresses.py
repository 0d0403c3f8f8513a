"""Addresses and the scripts of outputs that pay them.

A block has thousands of outputs, and we may have hundreds of thousands of addresses. So outputs are turned into the
beginnings of addresses, without the checksum, and not addresses into scripts.
"""

from base64 import b32encode
from collections.abc import Collection

from shared.platform.bitcoin.rules import BitcoinRules

DIGITS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
"""Digits of BIP 173."""
_TO_DIGITS = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", DIGITS.encode())
CHECKSUM_LENGTH = 6
PROGRAM_SIZES = {0: (20, 32), 0x51: (32,)}
"""Bytes of a program after the opcode of the version: segwit 0 and 1."""
_SIZES = frozenset({22, 34})
"""Bytes of a script: version, length, program."""


class UnknownAddress(ValueError):
    """Error for a text that is no segwit address (version 0 or 1) of this network."""


class WatchedAddresses:
    """Addresses, found by the scripts of outputs."""

    def __init__(self, addresses: Collection[str], rules: BitcoinRules) -> None:
        self._start = f"{rules.prefix}1"
        self._by_stem = {address[:-CHECKSUM_LENGTH].lower(): address for address in addresses}

    def of_script(self, script: bytes) -> str | None:
        """Return the watched address that an output with this script pays. None for other scripts."""
        if len(script) not in _SIZES:
            return None
        version = script[0]
        if len(script) - 2 != script[1] or script[1] not in PROGRAM_SIZES.get(version, ()):
            return None
        program = b32encode(script[2:]).translate(_TO_DIGITS).decode().rstrip("=")
        return self._by_stem.get(f"{self._start}{'p' if version else 'q'}{program}")


def is_of_network(address: str, rules: BitcoinRules) -> bool:
    """Return True for a segwit address (version 0 or 1) of this network."""
    try:
        script_of(address, rules)
    except UnknownAddress:
        return False
    return True


def script_of(address: str, rules: BitcoinRules) -> bytes:
    """Return the script of outputs that pay this address. Raises UnknownAddress."""
    from embit import bech32

    version, program = bech32.decode(rules.prefix, address)
    opcode = 0x50 + version if version else version
    if program is None or len(program) not in PROGRAM_SIZES.get(opcode, ()):
        raise UnknownAddress("no segwit address of this network")
    return bytes([opcode, len(program), *program])
