"""Listing of coins over a real EVM node: levels at a final block, a thousandth less, and a transfer nobody claimed."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from emulator.chains.anvil import Anvil
from shared.bootstrap.schemas import versioned
from shared.kernel.documents import Create
from shared.kernel.ids import Uid
from shared.payments.chains.addresses import AddressRecord, to_data
from shared.payments.chains.claims import deposit_id
from shared.payments.chains.coin_listing import CoinListing
from shared.payments.chains.levels import LevelRecord, Mark, PaymentClaim
from shared.payments.fiat import Fiat
from shared.platform.evm.chain import EvmChain
from shared.platform.memory.documents import MemoryDocuments
from tests.support.anvil import Town, town

WHOLE, SHORT, STRANGE = (f"0x{number:040x}" for number in range(1 << 44, (1 << 44) + 3))
UNITS = 1_000_000
PRICE = Fiat(1_000, "USD")


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def place(node: Anvil) -> Town:
    return town(node)


def claimed(network: str, address: str, index: int, at: int) -> AddressRecord:
    """An address with one final claim of `UNITS`."""
    claim = PaymentClaim(payment=f"pay_{index}", begin=0, end=UNITS, price=PRICE, rate="1", at=at)
    mark = Mark(height=1, hash="0x1")
    level = LevelRecord(claims=(claim,), standing=UNITS, final=UNITS, head=UNITS, mark=mark)
    return AddressRecord(
        uid=Uid("u"),
        family="evm",
        index=index,
        address=address,
        payment=claim.payment,
        opened_at=at,
        levels={(network, "USDC"): level},
    )


def test_levels_of_a_real_node_become_lines(node: Anvil, place: Town) -> None:
    network, hands = replace(place.network, final_depth=1), place.hands
    for address, units in ((WHOLE, UNITS), (SHORT, UNITS - UNITS // 1_000), (STRANGE, UNITS + 7)):
        hands.call(place.usdc, "mint", address, units)
    hands.mine()
    until = EvmChain(network, node.url).block("latest").time
    documents = versioned(MemoryDocuments())
    for index, address in enumerate((WHOLE, SHORT, STRANGE)):
        record = claimed(network.name, address, index, until - 1)
        documents.commit([Create(record.path, to_data(record))])
    listing = CoinListing(
        "evm", documents, lambda: {network.name: EvmChain(network, node.url)}, {network.name: network}
    )

    page = listing.page(until - 10, until, None)
    early = listing.page(until - 10, until + 1_000_000, None)

    told = [(line.payment, line.amount.minor, line.id.rpartition(":")[2]) for line in page.lines]
    strange = deposit_id(network.name, "USDC", STRANGE, UNITS)
    assert told == [
        ("pay_0", 1_000, "0"),
        ("pay_1", 999, "0"),
        ("pay_1", 0, "1000 units less"),
        ("pay_2", 1_000, "0"),
        (strange, 0, "7 units more"),
    ]
    assert (early.lines, early.complete_to) == ((), until)
