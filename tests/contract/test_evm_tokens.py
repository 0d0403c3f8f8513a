"""Tokens with signed authorizations on a real node: domains, used and cancelled nonces, at a block's hash."""

from collections.abc import Iterator

import pytest

from emulator.chains.anvil import Anvil
from shared.payments.chains.ports import BlockGone
from shared.platform.addresses.authorizations import domain_separator
from shared.platform.evm.chain import EvmChain
from tests.support.anvil import BURNING, EMPTY, REVERTING, Town, town
from tests.support.x402_payers import PAYER, decoded, signed_header

RECEIVER = "0x" + "ab" * 20
NOW_FIELDS = {"maxTimeoutSeconds": 3_600, "payTo": RECEIVER, "amount": "5"}


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def place(node: Anvil) -> Town:
    return town(node, broken=True)


@pytest.fixture
def chain(node: Anvil, place: Town) -> EvmChain:
    return EvmChain(place.network, node.url)


def test_domain_of_a_token_is_the_one_that_we_compute(chain: EvmChain, place: Town):
    domain = chain.token_domain(place.usdc.address)

    assert domain is not None
    assert (domain.name, domain.version) == ("USD Coin", "2")
    assert domain.separator == domain_separator(domain, place.network.chain_id or 0, place.usdc.address)


def test_token_without_authorizations_has_no_domain(chain: EvmChain, place: Town):
    others = [place.usdt.address, BURNING, REVERTING, EMPTY]

    assert [chain.token_domain(contract) for contract in others] == [None] * 4


def test_used_nonces_are_told_at_a_block(chain: EvmChain, place: Town, node: Anvil):
    place.hands.mined(place.hands.call(place.usdc, "mint", PAYER.address, 10))
    domain = {"name": "USD Coin", "version": "2"}
    network = f"eip155:{place.network.chain_id}"
    offer = {**NOW_FIELDS, "network": network, "asset": place.usdc.address, "extra": domain}
    now = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    payload = decoded(signed_header(offer, now))["payload"]
    content, signature = payload["authorization"], bytes.fromhex(payload["signature"][2:])
    nonce = (content["from"].lower(), content["nonce"])
    other = (nonce[0], "0x" + "00" * 32)
    before = chain.block("latest").hash
    numbers = (int(content[name]) for name in ("value", "validAfter", "validBefore"))
    parts = (bytes.fromhex(content["nonce"][2:]), signature[64], signature[:32], signature[32:64])
    called = place.hands.call(
        place.usdc, "transferWithAuthorization", content["from"], content["to"], *numbers, *parts, sender=2
    )
    place.hands.mined(called)
    after = chain.block("latest").hash

    assert chain.used_nonces(before, place.usdc.address, [nonce, other]) == frozenset()
    assert chain.used_nonces(after, place.usdc.address, [nonce, other]) == {nonce}
    assert chain.levels(after, [RECEIVER], ["USDC"])[RECEIVER, "USDC"] == 5


def test_nonces_are_not_told_for_a_block_that_left(chain: EvmChain, place: Town):
    place.hands.mine()
    gone = chain.block("latest").hash
    place.hands.reorg(1)

    with pytest.raises(BlockGone):
        chain.used_nonces(gone, place.usdc.address, [(PAYER.address.lower(), "0x" + "00" * 32)])
