"""Signed authorizations: the signer against another implementation, the claims on a level, and what is stored."""

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from eth_account import Account

from shared.kernel.clock import SECOND
from shared.payments.chains.authorizations import (
    ENDED,
    RESEND,
    Authorization,
    AuthorizedOrder,
    NonceFacts,
    TokenDomain,
    is_forgettable,
    order_data,
    order_from,
    payment_id_of,
    with_authorized,
)
from shared.payments.chains.levels import LevelRecord, Mark
from shared.payments.fiat import Fiat
from shared.platform.addresses.authorizations import ORDER, domain_separator, signer_of
from tests.support.x402_payers import PAYER, TYPES

USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
DOMAIN = TokenDomain(name="USD Coin", version="2")
BASE = 8453
BASE_SEPARATOR = "0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"
"""What `DOMAIN_SEPARATOR()` of USDC on Base answers."""
NOW = 1_790_000_000_000
DOLLAR = 10**6


def signed(key=PAYER, chain_id=BASE, contract=USDC, domain=DOMAIN, **changes) -> Authorization:
    """An authorization that another implementation has signed."""
    message = {
        "from": key.address,
        "to": "0x" + "ab" * 20,
        "value": 1_000_000,
        "validAfter": 0,
        "validBefore": NOW // 1000 + 120,
        "nonce": b"\x05" * 32,
        **changes,
    }
    told = {"name": domain.name, "version": domain.version, "chainId": chain_id, "verifyingContract": contract}
    signature = Account.sign_typed_data(key.key, told, TYPES, message).signature
    return Authorization(
        payer=message["from"].lower(),
        receiver=message["to"].lower(),
        value=message["value"],
        valid_after=message["validAfter"],
        valid_before=message["validBefore"],
        nonce="0x" + message["nonce"].hex(),
        signature="0x" + bytes(signature).hex(),
    )


def order(**changes) -> AuthorizedOrder:
    known = AuthorizedOrder(
        payment="pay_1",
        network="base",
        asset="USDC",
        contract=USDC,
        domain=DOMAIN,
        authorization=signed(),
        due=DOLLAR,
        price=Fiat(100, "USD"),
        rate=Fraction(1),
        at=NOW,
    )
    return replace(known, **changes)


def level(standing: int, **changes) -> LevelRecord:
    return LevelRecord(standing=standing, head=standing, mark=Mark(height=5, hash="0x5"), **changes)


def facts(*, used=True, deep=True, time=NOW) -> NonceFacts:
    return NonceFacts(is_used=used, is_used_deep=deep, deep_time=time)


@pytest.mark.parametrize(
    ("changes", "is_on_its_way"),
    [
        ({}, True),
        ({"sent_at": NOW}, True),
        ({"sent_at": NOW, "refusal": "no"}, False),
        ({"sent_at": NOW, "state": "used"}, True),
        ({"sent_at": NOW, "state": "claimed"}, False),
        ({"sent_at": NOW, "state": "unpaid"}, False),
        ({"state": "expired"}, False),
        ({"authorization": replace(signed(), valid_before=NOW // SECOND)}, False),
    ],
)
def test_order_is_on_its_way_while_coins_may_come(changes, is_on_its_way):
    assert order(**changes).is_on_its_way(NOW) is is_on_its_way


def test_separator_is_the_one_of_usdc_on_base():
    assert domain_separator(DOMAIN, BASE, USDC) == BASE_SEPARATOR


@pytest.mark.parametrize("seed", range(20))
def test_signer_is_the_one_that_another_implementation_signed_with(seed):
    chance = random.Random(seed)
    key = Account.from_key(chance.randbytes(32))
    chain_id = chance.randrange(1, 2**40)
    content = signed(
        key,
        chain_id,
        value=chance.randrange(1, 2**255),
        nonce=chance.randbytes(32),
        to="0x" + chance.randbytes(20).hex(),
    )

    assert signer_of(content, domain_separator(DOMAIN, chain_id, USDC)) == key.address.lower()


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 1_000_001},
        {"receiver": "0x" + "cd" * 20},
        {"valid_before": 1},
        {"valid_after": 1},
        {"nonce": "0x" + "06" * 32},
    ],
)
def test_signer_is_another_if_anything_was_changed(changes):
    content = replace(signed(), **changes)

    assert signer_of(content, BASE_SEPARATOR) != content.payer


def test_signer_is_another_for_another_chain_or_token():
    content = signed()

    assert signer_of(content, domain_separator(DOMAIN, 1, USDC)) != content.payer
    assert signer_of(content, domain_separator(DOMAIN, BASE, "0x" + "11" * 20)) != content.payer
    assert signer_of(content, domain_separator(replace(DOMAIN, version="1"), BASE, USDC)) != content.payer


def test_signature_in_a_form_that_tokens_refuse_has_no_signer():
    raw = bytes.fromhex(signed().signature[2:])
    high = raw[:32] + (ORDER - int.from_bytes(raw[32:64])).to_bytes(32) + bytes([55 - raw[64]])
    forms = [high, raw[:64] + bytes([raw[64] - 27]), raw[:64], raw + b"\0", bytes(65), b"\xff" * 64 + b"\x1b"]

    assert [signer_of(replace(signed(), signature="0x" + form.hex()), BASE_SEPARATOR) for form in forms] == [None] * 6


def test_used_nonce_with_coins_claims_them_once():
    first, claimed = with_authorized(level(3 * DOLLAR), order(), facts(), NOW, "")
    again, same = with_authorized(first, claimed, facts(), NOW, "")

    assert (claimed.state, again, same) == ("claimed", first, claimed)
    assert [(claim.payment, claim.begin, claim.end) for claim in first.claims] == [("pay_1", 0, DOLLAR)]
    assert first.rest == 2 * DOLLAR


def test_used_nonce_without_coins_pays_nothing_and_ends():
    after, told = with_authorized(level(DOLLAR - 1), order(), facts(), NOW, "")
    ended = with_authorized(level(DOLLAR - 1), told, facts(time=order().ends_at), NOW, "")[1]

    assert (after.claims, told.state, ended.state) == ((), "unpaid", "expired")


def test_coins_that_were_not_told_at_first_are_claimed_by_the_next_look():
    unpaid = with_authorized(level(0), order(), facts(), NOW, "")[1]

    after, told = with_authorized(level(DOLLAR), unpaid, facts(), NOW, "")

    assert (len(after.claims), told.state) == (1, "claimed")


def test_two_orders_share_no_coins():
    one, first = with_authorized(level(DOLLAR), order(), facts(), NOW, "")
    both, second = with_authorized(one, order(payment="pay_2"), facts(), NOW, "")

    assert (first.state, second.state, len(both.claims)) == ("claimed", "unpaid", 1)


def test_nothing_is_claimed_while_units_are_missing():
    claimed, _ = with_authorized(level(DOLLAR), order(), facts(), NOW, "")
    fallen = replace(claimed, standing=0, head=0)

    after, told = with_authorized(fallen, order(payment="pay_2"), facts(), NOW, "")

    assert (after, told.state) == (fallen, "used")


def test_order_waits_for_depth_and_ends_by_the_time_of_the_chain():
    waiting = with_authorized(level(DOLLAR), order(), facts(deep=False), NOW, "")[1]
    gone = with_authorized(level(0), waiting, facts(used=False, deep=False), NOW, "")[1]
    ended = with_authorized(level(0), gone, facts(used=False, deep=False, time=order().ends_at), NOW, "")[1]

    assert [each.state for each in (waiting, gone, ended)] == ["used", "open", "expired"]


def test_authorization_is_sent_again_only_without_an_answer():
    fresh, sent = order(), order(sent_at=NOW)

    assert fresh.is_to_send(NOW)
    assert [sent.is_to_send(NOW + at) for at in (0, RESEND - 1, RESEND)] == [False, False, True]
    assert not replace(sent, is_answered=True).is_to_send(NOW + RESEND)
    assert not fresh.is_to_send(fresh.ends_at)


def test_stored_order_is_read_as_it_was():
    known = order(sent_at=NOW, refusal="r", transaction="0x1", state="used", rate=Fraction(9_999, 10_000), due=2**200)

    assert order_from(order_data(known)) == known


def test_order_is_forgotten_once_settled_or_long_over():
    claimed, over = order(state="claimed"), order(state="expired")

    assert not is_forgettable(claimed, {"pay_1"}, NOW + 10 * ENDED)
    assert is_forgettable(claimed, set(), NOW)
    assert not is_forgettable(order(), set(), NOW + 10 * ENDED)
    assert not is_forgettable(over, set(), over.ends_at + ENDED)
    assert is_forgettable(over, set(), over.ends_at + ENDED + 1)


def test_payment_is_named_by_network_token_payer_and_nonce():
    named = payment_id_of("base", USDC, PAYER.address, "0x" + "AB" * 32)

    assert named == payment_id_of("base", USDC.lower(), PAYER.address.lower(), "0x" + "ab" * 32)
    assert named != payment_id_of("polygon", USDC, PAYER.address, "0x" + "ab" * 32)
