"""An address is shown only if two implementations derive it, and only from the key that its index belongs to."""

import os

import pytest
from eth_utils.address import to_checksum_address

from shared.bootstrap import in_memory
from shared.payments.chains.address_book import AddressesDisagree, AddressUnknown
from shared.payments.chains.index_table import WalletKey
from shared.platform.addresses.bech32 import segwit_address
from shared.platform.addresses.by_coincurve import CoincurveDerivation, child
from shared.platform.addresses.by_embit import EmbitDerivation
from shared.platform.addresses.keccak import checksummed
from shared.platform.memory.alerts import MemoryAlerts
from shared.platform.memory.documents import MemoryDocuments
from tests.support.keys import EVM, TAPROOT_XPUB, VECTORS, ZPUB, bitcoin_key, evm_key, summed, taproot_key

ADDRESSES = int(os.environ.get("ADDRESSES") or 200)
"""Addresses of each kind that both implementations must derive alike."""
BOTH = (CoincurveDerivation(), EmbitDerivation())
PUBLIC_STEPS = [
    (before["public"], after["public"])
    for before, after in zip(VECTORS["bip32"], VECTORS["bip32"][1:], strict=False)
    if before["vector"] == after["vector"] and not after["path"].endswith("'")
]


class WrongDerivation:
    """Derives the address of the next step, as a library with a fault might."""

    def address(self, key: WalletKey, step: int) -> str:
        return BOTH[0].address(key, step + 1)


@pytest.mark.parametrize(("parent", "wanted"), PUBLIC_STEPS)
def test_public_child_is_derived_as_published(parent, wanted):
    from coincurve import PublicKey

    from shared.kernel.extended_keys import extended_key

    above, below = extended_key(parent, ""), extended_key(wanted, "")

    point, chain_code = child(PublicKey(above.public_key), above.chain_code, below.child)

    assert (point.format(), chain_code) == (below.public_key, below.chain_code)


@pytest.mark.parametrize("derivation", BOTH)
@pytest.mark.parametrize(
    ("key", "name"), [(evm_key(), "bip44_evm"), (bitcoin_key(), "bip84"), (taproot_key(), "bip86")]
)
def test_addresses_are_as_published(derivation, key, name):
    wanted = VECTORS[name]["addresses"]

    assert [derivation.address(key, step) for step in range(len(wanted))] == wanted


@pytest.mark.parametrize("address", VECTORS["eip55"])
def test_checksum_of_an_address_is_as_published(address):
    assert checksummed(bytes.fromhex(address[2:])) == to_checksum_address(address.lower()) == address


@pytest.mark.parametrize(
    ("prefix", "version", "program", "address"),
    [
        ("bc", 0, "751e76e8199196d454941c45d1b3a323f1433bd6", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        (
            "tb",
            1,
            "000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
            "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        ),
        (
            "bc",
            1,
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ),
    ],
)
def test_segwit_address_is_as_published(prefix, version, program, address):
    assert segwit_address(prefix, version, bytes.fromhex(program)) == address


@pytest.mark.parametrize(
    "key",
    [evm_key(), bitcoin_key(), bitcoin_key(prefix="bcrt"), taproot_key()],
    ids=["evm", "wpkh", "wpkh on regtest", "tr"],
)
def test_both_implementations_derive_the_same_addresses(key):
    first, second = ([each.address(key, step) for step in range(ADDRESSES)] for each in BOTH)

    assert first == second
    assert len(set(first)) == ADDRESSES


def test_address_at_the_last_step_is_derived_alike():
    last = 2**31 - 1

    assert BOTH[0].address(evm_key(), last) == BOTH[1].address(evm_key(), last)


def test_disagreement_serves_nobody_and_alerts():
    alerts = MemoryAlerts()
    services = in_memory(derivations=(BOTH[0], WrongDerivation()), alerts=alerts)
    index = services.crypto.indices.take("evm")

    with pytest.raises(AddressesDisagree):
        services.crypto.address_book.address("evm", index)
    with pytest.raises(AddressesDisagree):
        services.crypto.address_book.addresses("evm", [index])

    assert [alert.event for alert in alerts.raised] == ["crypto_addresses_disagree"] * 2


def test_address_of_an_index_never_taken_is_unknown():
    book = in_memory().crypto.address_book

    with pytest.raises(AddressUnknown):
        book.address("evm", 0)
    with pytest.raises(AddressUnknown):
        book.address("evm", -1)


def test_index_taken_by_another_instance_has_an_address():
    documents = MemoryDocuments()
    one, other = in_memory(documents=documents), in_memory(documents=documents)
    other.crypto.address_book.addresses("evm", [0])
    indices = [one.crypto.indices.take("evm") for _ in range(7)]

    found = other.crypto.address_book.addresses("evm", indices)

    assert [found[index] for index in indices] == [BOTH[0].address(evm_key(), step) for step in range(7)]


def test_family_without_a_key_has_no_addresses():
    book = in_memory({"BITCOIN_KEY": ""}).crypto.address_book

    assert (book.has("evm"), book.has("bitcoin")) == (True, False)
    assert book.addresses("bitcoin", [0, 1]) == {}


def test_new_key_begins_at_its_own_first_address_under_a_new_index():
    documents = MemoryDocuments()
    old = in_memory({"BITCOIN_KEY": ZPUB}, documents=documents)
    first = old.crypto.indices.take("bitcoin")
    taproot = summed(f"tr({TAPROOT_XPUB}/0/*)")
    new = in_memory({"BITCOIN_KEY": f"{taproot},{ZPUB}"}, documents=documents)

    second = new.crypto.indices.take("bitcoin")

    book = new.crypto.address_book
    assert (first, second) == (0, 1)
    assert book.address("bitcoin", first) == VECTORS["bip84"]["addresses"][0]
    assert book.address("bitcoin", second) == VECTORS["bip86"]["addresses"][0]


def test_key_that_left_the_settings_leaves_its_addresses_unknown():
    documents = MemoryDocuments()
    in_memory({"BITCOIN_KEY": ZPUB}, documents=documents).crypto.indices.take("bitcoin")
    new = in_memory({"BITCOIN_KEY": summed(f"tr({TAPROOT_XPUB}/0/*)")}, documents=documents)
    taken = new.crypto.indices.take("bitcoin")

    assert new.crypto.address_book.addresses("bitcoin", [0, taken]) == {taken: VECTORS["bip86"]["addresses"][0]}
    with pytest.raises(AddressUnknown):
        new.crypto.address_book.address("bitcoin", 0)


def test_addresses_are_read_once_and_derived_once():
    class Counting:
        calls = 0

        def address(self, key: WalletKey, step: int) -> str:
            self.calls += 1
            return BOTH[0].address(key, step)

    counting = Counting()
    services = in_memory({"EVM_XPUB": EVM}, derivations=(counting, BOTH[1]))
    indices = [services.crypto.indices.take("evm") for _ in range(30)]

    for _ in range(3):
        services.crypto.address_book.addresses("evm", indices)

    assert counting.calls == 30
