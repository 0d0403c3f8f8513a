"""A worker that dies at any commit of a purchase with coins changes nothing for who asks again with the same key."""

from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

import pytest

from shared.kernel.documents import Documents, OutcomeUnknown, Query
from shared.kernel.ids import OperationId
from shared.payments.payment import Payment, quote_of
from shared.sagas.payments.crypto_checkout import CoinOrderRequest
from tests.support.coins import NETWORKS, CoinShop
from tests.support.faults import Crash, Dying
from tests.support.keys import OWN_XPUB
from tests.support.shop import PACKAGE

OPERATION = OperationId("op_buy")


class KeyedShop(CoinShop):
    """The world with a wallet's key and a package."""

    settings: ClassVar[Mapping[str, str]] = {**NETWORKS, "EVM_XPUB": OWN_XPUB}

    def __init__(self) -> None:
        super().__init__()
        self.services().payments.packages.put("small", PACKAGE)
        self.services().credits.ledger.open(self.uid)

    def begin(self, documents: Documents | None = None) -> Payment:
        """A process that serves the request, and ends with it."""
        order = CoinOrderRequest(uid=self.uid, package="small", network="base", asset="USDC")
        return self.services(documents).crypto.checkouts.begin(order, OPERATION, "f")

    def addresses(self) -> list[str]:
        found = self.services().ports.documents().query(Query(collection="crypto_addresses", limit=9))
        return [str(each.data["address"]) for each in found]


@pytest.mark.parametrize("error", [Crash(), OutcomeUnknown()], ids=["crash", "unknown"])
def test_purchase_whose_worker_dies_at_any_commit_has_one_address(error):
    shop = KeyedShop()
    counted = Dying(shop.documents)
    shop.begin(counted)
    assert counted.commits >= 2

    for number in range(1, counted.commits + 1):
        for when in ("before", "after"):
            shop = KeyedShop()
            with suppress(Crash, OutcomeUnknown):
                shop.begin(Dying(shop.documents, at=number, when=when, error=error))

            payment, again = shop.begin(), shop.begin()

            assert payment == again
            assert shop.addresses() == [quote_of(payment).address], (number, when)
