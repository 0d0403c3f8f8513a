"""Orders of an address after a look: whose coins came, and which orders are remembered."""

from dataclasses import replace
from fractions import Fraction

from shared.kernel.ids import Uid
from shared.payments.chains.addresses import AddressRecord, from_data, to_data
from shared.payments.chains.authorizations import Authorization, AuthorizedOrder, NonceFacts, TokenDomain
from shared.payments.chains.authorized_claims import (
    OVER_MAX,
    SMALL_CENTS,
    address_tier,
    with_order,
    with_orders,
    without_forgettable,
)
from shared.payments.chains.levels import LevelRecord, Mark
from shared.payments.chains.presets import PRESETS
from shared.payments.fiat import Fiat

NOW = 1_790_000_000_000
DOLLAR = 10**6
KEY = ("base", "USDC")
USED = NonceFacts(is_used=True, is_used_deep=True, deep_time=NOW)
OPEN = NonceFacts(is_used=False, is_used_deep=False, deep_time=NOW)


def order(payment: str, **changes) -> AuthorizedOrder:
    signed = Authorization(
        payer="0xp",
        receiver="0xr",
        value=DOLLAR,
        valid_after=0,
        valid_before=NOW // 1000 + 60,
        nonce=payment,
        signature="0x",
    )
    known = AuthorizedOrder(
        payment=payment,
        network="base",
        asset="USDC",
        contract="0xc",
        domain=TokenDomain(name="USD Coin", version="2"),
        authorization=signed,
        due=DOLLAR,
        price=Fiat(100, "USD"),
        rate=Fraction(1),
        at=NOW,
    )
    return replace(known, **changes)


def record(*orders: AuthorizedOrder, standing: int = 0) -> AddressRecord:
    level = LevelRecord(standing=standing, head=standing, mark=Mark(height=1, hash="0x1"))
    return AddressRecord(
        uid=Uid("u"),
        family="evm",
        index=7,
        address="0xr",
        payment="",
        opened_at=NOW,
        is_for_agents=True,
        authorized=orders,
        levels={KEY: level} if standing else {},
    )


def told(known: AddressRecord) -> dict[str, str]:
    return {each.payment: each.state for each in known.authorized}


def test_new_coins_are_rather_those_of_a_new_order():
    known = record(order("old", state="unpaid"), order("new"), standing=DOLLAR)

    after = with_orders(known, {"old": USED, "new": USED}, NOW, lambda _: "")

    assert told(after) == {"old": "unpaid", "new": "claimed"}
    assert [claim.payment for _, claim in after.claims()] == ["new"]


def test_review_is_asked_only_for_coins_that_came():
    asked: list[object] = []

    def review(key: object) -> str:
        asked.append(key)
        return "address_swept"

    known = record(order("open"), order("used"), standing=DOLLAR)

    after = with_orders(known, {"open": OPEN, "used": USED}, NOW, review)

    assert asked == [KEY]
    assert [(claim.payment, claim.review) for _, claim in after.claims()] == [("used", "address_swept")]


def test_orders_without_facts_stay_as_they_are():
    known = record(order("a"), order("b", network="polygon"), standing=3 * DOLLAR)

    assert with_orders(known, {}, NOW, lambda _: "") == known


def test_settled_orders_are_forgotten_and_the_newest_others_kept():
    claimed = record(order("a", state="claimed"), order("b", state="claimed"))
    crowded = record(*(order(f"o{number}", state="expired") for number in range(OVER_MAX + 5)), order("open"))

    assert told(without_forgettable(replace(claimed, unsettled=frozenset({"b"})), NOW)) == {"b": "claimed"}
    after = with_order(crowded, order("new"))
    assert len(after.authorized) == OVER_MAX + 2
    assert [each.payment for each in after.authorized[-2:]] == ["open", "new"]
    assert "o4" not in told(after)


def test_small_coins_of_agents_count_in_their_first_block():
    base, agents = PRESETS["base"], record()
    others = replace(agents, is_for_agents=False)

    assert address_tier(agents, base, SMALL_CENTS).depth == 1
    assert address_tier(agents, base, SMALL_CENTS + 1).depth == base.tiers[0].depth
    assert address_tier(others, base, 1).depth == base.tiers[0].depth


def test_address_of_agents_is_stored_and_read_as_it_was():
    known = record(order("a", sent_at=NOW), order("b", state="used"), standing=DOLLAR)
    data = to_data(known)
    old = {name: value for name, value in data.items() if name not in {"is_for_agents", "authorized"}}

    assert from_data(data) == known
    assert from_data(old) == replace(known, is_for_agents=False, authorized=())
