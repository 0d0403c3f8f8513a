"""Addresses by `coincurve` and a derivation of our own (BIP 32)."""

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.payments.chains.index_table import WalletKey
from shared.platform.addresses.bech32 import segwit_address
from shared.platform.addresses.keccak import evm_address

if TYPE_CHECKING:
    from coincurve import PublicKey

RECEIVING = 0
"""Step of the path below the account, for addresses that others pay to."""
BRANCHES_KEPT_MAX = 16


class CoincurveDerivation:
    """Derivation by `coincurve`, which is libsecp256k1."""

    def __init__(self) -> None:
        self._branch = lru_cache(maxsize=BRANCHES_KEPT_MAX)(_receiving_branch)

    def address(self, key: WalletKey, step: int) -> str:
        """Return the address at the path 0/step below the key."""
        point, _ = child(*self._branch(key), step)
        match key.account.script:
            case "evm":
                return evm_address(point.format(compressed=False))
            case "wpkh":
                return segwit_address(key.prefix, 0, _hash160(point.format()))
            case "tr":
                return segwit_address(key.prefix, 1, _taproot_output(point))


def child(parent: "PublicKey", chain_code: bytes, step: int) -> "tuple[PublicKey, bytes]":
    """Return the public key and the chain code of a child without a hardened step; BIP 32, *CKDpub*."""
    mixed = hmac.digest(chain_code, parent.format() + step.to_bytes(4), hashlib.sha512)
    return parent.add(mixed[:32]), mixed[32:]


def _receiving_branch(key: WalletKey) -> "tuple[PublicKey, bytes]":
    from coincurve import PublicKey

    return child(PublicKey(key.account.public_key), key.account.chain_code, RECEIVING)


def _hash160(data: bytes) -> bytes:
    from Crypto.Hash import RIPEMD160

    return RIPEMD160.new(hashlib.sha256(data).digest()).digest()


def _taproot_output(point: "PublicKey") -> bytes:
    """Return the output key without scripts: P + hash_TapTweak(P)·G; BIP 341, BIP 86."""
    from coincurve import PublicKeyXOnly

    internal = point.format()[1:]
    tag = hashlib.sha256(b"TapTweak").digest()
    output = PublicKeyXOnly(internal)
    output.tweak_add(hashlib.sha256(tag + tag + internal).digest())
    return output.format()
