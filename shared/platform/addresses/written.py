"""Addresses that people write: checked for their network, and returned in the network's own form."""

import re

from shared.payments.chains.networks import Network
from shared.payments.chains.wallet_keys import bitcoin_prefix
from shared.platform.addresses.bech32 import segwit_program
from shared.platform.addresses.keccak import checksummed

EVM_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


def written_address(network: Network, text: str) -> str | None:
    """Return the address in the form of its network, None for a text that is no address there.

    EVM: capitals must be those of EIP-55, unless all letters are small or all are capitals. Bitcoin: a segwit address
    of version 0 or 1.
    """
    return _evm(text) if network.family == "evm" else _segwit(text, bitcoin_prefix(network))


def _evm(text: str) -> str | None:
    if not EVM_ADDRESS.fullmatch(text):
        return None
    digits, address = text[2:], checksummed(bytes.fromhex(text[2:]))
    is_plain = digits in {digits.lower(), digits.upper()}
    return address if is_plain or text == address else None


def _segwit(text: str, prefix: str) -> str | None:
    return text.lower() if segwit_program(prefix, text) is not None else None
