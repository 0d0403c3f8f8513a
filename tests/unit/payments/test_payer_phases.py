"""Phases of the payer's page, the acts that each allows, and the transaction that a browser's wallet is asked for."""

from dataclasses import replace
from typing import get_args

import pytest
from eth_abi.abi import decode

from shared.payments.chains.networks import Network
from shared.payments.chains.payer import (
    OVER,
    PHASES,
    ask_again_seconds,
    is_changeable,
    is_payable,
    is_takeable,
    phase_of,
    wallet_request,
    wallet_transaction,
)
from shared.payments.chains.presets import PRESETS
from shared.payments.chains.uris import payment_uri
from shared.payments.payment import Status

ADDRESS = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
BASE: Network = PRESETS["base"]
NOTHING = {"received_atomic": "0", "missing_atomic": "9000000"}
PART = {"received_atomic": "5500000", "missing_atomic": "3500000"}
ALL = {"received_atomic": "9000000", "missing_atomic": "0"}


@pytest.mark.parametrize(
    ("status", "state", "phase"),
    [
        ("created", "waiting", "waiting"),
        ("pending", "waiting", "waiting"),
        ("pending", "pool", "pool"),
        ("confirming", "seen", "seen"),
        ("confirming", "confirming", "confirming"),
        ("pending", "partial", "partial"),
        ("settled", "settled", "settled"),
        ("settled", "taken_back", "taken_back"),
        ("confirming", "review", "review"),
        ("expired", "waiting", "expired"),
        ("cancelled", "waiting", "cancelled"),
        ("failed", "waiting", "failed"),
        ("expired", "late", "late"),
        ("expired", "confirming", "confirming"),
        ("cancelled", "seen", "seen"),
        ("refunded", "settled", "refunded"),
        ("partially_refunded", "settled", "partially_refunded"),
        ("pending", "a state of a later release", "review"),
    ],
)
def test_phase_follows_the_coins_before_the_end_of_the_purchase(status: Status, state: str, phase: str):
    assert phase_of(status, state) == phase


def test_every_status_and_state_has_a_known_phase():
    assert {phase_of(status, state) for status in get_args(Status) for state in PHASES} <= set(PHASES)


def test_payer_may_send_only_while_something_is_missing():
    payable = {phase: [is_payable(phase, crypto) for crypto in (NOTHING, PART, ALL)] for phase in PHASES}  # type: ignore[arg-type]

    assert {phase for phase, told in payable.items() if any(told)} == {"waiting", "partial"}
    assert payable["waiting"] == payable["partial"] == [True, True, False]


def test_network_changes_only_before_anything_came():
    changeable = {phase for phase in PHASES if is_changeable(phase, NOTHING)}  # type: ignore[arg-type]

    assert changeable == {"waiting"}
    assert not is_changeable("waiting", PART)


def test_part_is_takeable_only_while_the_rest_is_missing():
    takeable = {phase for phase in PHASES if is_takeable(phase, PART)}  # type: ignore[arg-type]

    assert takeable == {"partial"}
    assert not is_takeable("partial", NOTHING)
    assert not is_takeable("partial", ALL)


def test_page_stops_asking_once_the_payment_is_over():
    waits = {phase: ask_again_seconds(phase) for phase in PHASES}  # type: ignore[arg-type]

    assert {phase for phase, seconds in waits.items() if seconds is None} == OVER
    assert all(seconds >= 3 for seconds in waits.values() if seconds is not None)


@pytest.mark.parametrize("amount", [1, 9_000_000, 2**255])
def test_transaction_of_a_token_is_a_transfer_to_the_address(amount: int):
    transaction = wallet_transaction(BASE, "USDC", ADDRESS, amount)

    data = bytes.fromhex(transaction["data"].removeprefix("0x"))
    assert (transaction["to"], transaction["value"]) == (BASE.assets["USDC"].contract, "0x0")
    assert data[:4].hex() == "a9059cbb"
    assert decode(["address", "uint256"], data[4:]) == (ADDRESS.lower(), amount)


def test_transaction_of_the_own_coin_carries_the_value_alone():
    transaction = wallet_transaction(BASE, "ETH", ADDRESS, 10**18)

    assert transaction == {"to": ADDRESS, "value": "0xde0b6b3a7640000", "data": "0x"}


def test_wallet_is_asked_only_on_a_chain_with_an_id():
    asked = wallet_request(BASE, "ETH", ADDRESS, 1)

    assert asked is not None
    assert (asked["chain_id"], asked["chain_name"], asked["coin"]["symbol"]) == ("0x2105", "Base", "ETH")
    assert wallet_request(replace(BASE, chain_id=None), "ETH", ADDRESS, 1) is None


@pytest.mark.parametrize(
    ("network", "asset", "amount", "uri"),
    [
        ("base", "ETH", 10**18, f"ethereum:{ADDRESS}@8453?value=1000000000000000000"),
        (
            "polygon",
            "USDC",
            1,
            f"ethereum:0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359@137/transfer?address={ADDRESS}&uint256=1",
        ),
        ("bitcoin", "BTC", 100_000_000, "bitcoin:bc1q?amount=1"),
        ("bitcoin", "BTC", 1, "bitcoin:bc1q?amount=0.00000001"),
    ],
)
def test_link_names_chain_coin_address_and_amount(network: str, asset: str, amount: int, uri: str):
    address = "bc1q" if network == "bitcoin" else ADDRESS

    assert payment_uri(PRESETS[network], asset, address, amount) == uri
