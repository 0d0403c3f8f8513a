"""Public key of a wallet's account, from which the addresses of payments are derived."""

from dataclasses import dataclass, field
from typing import Literal

Script = Literal["evm", "wpkh", "tr"]
"""Kind of address: of EVM chains, of Bitcoin's segwit v0 (BIP 84), of Bitcoin's taproot (BIP 86)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """Public key of an account. Addresses are at the path 0/i below the account.

    `is_live` is True for coins of value, False for test networks, None if the key does not tell. `public_key` is the
    compressed point, 33 bytes; `chain_code` is 32 bytes. Both are hidden from logs, since they reveal all addresses.
    """

    script: Script
    is_live: bool | None
    public_key: bytes = field(repr=False)
    chain_code: bytes = field(repr=False)
