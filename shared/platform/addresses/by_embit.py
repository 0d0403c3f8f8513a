"""Addresses by `embit`, independent of the derivation by `coincurve`."""

from functools import lru_cache
from typing import TYPE_CHECKING

from shared.payments.chains.index_table import WalletKey
from shared.platform.addresses.keccak import evm_address

if TYPE_CHECKING:
    from embit.bip32 import HDKey

RECEIVING = 0
BRANCHES_KEPT_MAX = 16


class EmbitDerivation:
    """Derivation by `embit`."""

    def __init__(self) -> None:
        self._branch = lru_cache(maxsize=BRANCHES_KEPT_MAX)(_receiving_branch)

    def address(self, key: WalletKey, step: int) -> str:
        """Return the address at the path 0/step below the key."""
        from embit import script

        found = self._branch(key).child(step).key
        network = {"bech32": key.prefix}
        match key.account.script:
            case "evm":
                found.compressed = False
                return evm_address(found.sec())
            case "wpkh":
                return str(script.p2wpkh(found).address(network))
            case "tr":
                return str(script.p2tr(found).address(network))


def _receiving_branch(key: WalletKey) -> "HDKey":
    from embit.bip32 import HDKey
    from embit.ec import PublicKey

    account = key.account
    return HDKey(PublicKey.parse(account.public_key), account.chain_code).child(RECEIVING)
