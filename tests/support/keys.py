"""Public keys of wallets that everybody knows, and official vectors for keys and addresses."""

import json
from pathlib import Path
from typing import Any

from shared.kernel.public_keys import descriptor_checksum, parse_bitcoin_keys, parse_evm_keys
from shared.payments.chains.index_table import WalletKey

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "key_vectors.json").read_text())
EVM = VECTORS["bip44_evm"]["key"]
ZPUB = VECTORS["bip84"]["key"]
TAPROOT_XPUB = VECTORS["bip86"]["key"]
VPUB = "vpub5Y6cjg78GGuNLsaPhmYsiw4gYX3HoQiRBiSwDaBXKUafCt9bNwWQiitDk5VZ5BVxYnQdwoTyXSs2JHRPAgjAvtbBrf8ZhDYe2jWAqvZVnsc"
SEGWIT_XPUB = (
    "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V"
)
SEGWIT_TPUB = (
    "tpubDC8msFGeGuwnKG9Upg7DM2b4DaRqg3CUZa5g8v2SRQ6K4NSkxUgd7HsL2XVWbVm39yBA4LAxysQAm397zwQSQoQgewGiYZqrA9DsP4zbQ1M"
)


OWN_ZPUB = (
    "zpub6qUg3TAezxqU5cSE8FXPnjq6itdQmnQMYTKzDPYCaLrRewh1o5EZTG1XhGjPhfhrpKtzpaLXE7qR5bR4pfU4S8Awz8mFyFn9bFq3WVoqpYh"
)
OWN_XPUB = (
    "xpub6CB8EAh2cUW1tUhqc6hm4wUaD1F4SACEAiMP96AK71sNvG19tMftP1tUvUDX4ZNUjCRdoS9L4Mpr4MFL589vRV8NHUTF5DLyASshuYNND23"
)
"""Keys of a wallet that no example has."""


def summed(body: str) -> str:
    """The descriptor with its checksum."""
    return f"{body}#{descriptor_checksum(body)}"


def evm_key(text: str = EVM) -> WalletKey:
    return WalletKey(account=parse_evm_keys(text)[0])


def bitcoin_key(text: str = ZPUB, prefix: str = "bc") -> WalletKey:
    return WalletKey(account=parse_bitcoin_keys(text)[0], prefix=prefix)


def taproot_key() -> WalletKey:
    return bitcoin_key(summed(f"tr([73c5da0a/86'/0'/0']{TAPROOT_XPUB}/0/*)"))
