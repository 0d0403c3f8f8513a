"""Rules of Bitcoin's networks, by the hash of the first block: prefix of addresses, and the least work of a block."""

from collections.abc import Mapping
from dataclasses import dataclass

DIFFICULTY_ONE = 0xFFFF << 208
"""Target of a block with difficulty 1."""
DIFFICULTY_MIN_LIVE = 10**12
"""Least difficulty of blocks that are believed on the main network. Since 2018 all blocks have had more."""
COINBASE_DEPTH = 100
"""Blocks on top of a block before the outputs of its coinbase transaction can be spent, and count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BitcoinRules:
    """Rules of one network. `target_max` is the largest number that the hash of a believed block may be."""

    prefix: str
    target_max: int


TEST_RULES = BitcoinRules(prefix="tb", target_max=DIFFICULTY_ONE)
RULES: Mapping[str, BitcoinRules] = {
    "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f": BitcoinRules(
        prefix="bc", target_max=DIFFICULTY_ONE // DIFFICULTY_MIN_LIVE
    ),
    "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943": TEST_RULES,
    "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043": TEST_RULES,
    "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6": BitcoinRules(
        prefix="tb", target_max=0x0377AE << 216
    ),
    "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206": BitcoinRules(
        prefix="bcrt", target_max=0x7FFFFF << 232
    ),
}
"""Main network, testnet 3 and 4, signet, regtest."""


def rules_of(genesis: str) -> BitcoinRules:
    """Return the rules of the network with this first block. Raises ValueError for an unknown network."""
    if genesis not in RULES:
        raise ValueError(f"no Bitcoin network begins with the block {genesis}")
    return RULES[genesis]
