"""Payments on chains in every state that the payer's page shows, stored as the backend stores them."""

from collections.abc import Mapping
from dataclasses import replace

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.documents import Documents, Put
from shared.kernel.ids import Uid
from shared.kernel.money import Micro
from shared.payments.chains.quote import LevelClaim, Quote
from shared.payments.chains.report import ChainReport, Line, SeenTransfer
from shared.payments.fiat import Fiat
from shared.payments.payment import AppliedChanges, Payment, ProviderReport, Terms
from shared.payments.store import fields_of, saga_path, view_of
from shared.sagas.engine.leases import FREE

KEY = "k" * 32
UID = Uid("a-user-whom-the-page-never-names")
ADDRESS = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
BITCOIN_ADDRESS = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
BITCOIN_URI = f"bitcoin:{BITCOIN_ADDRESS}?amount=0.00009312"
PRICE = Fiat(900, "USD")
DUE, PART, OVER = 9_000_000, 5_500_000, 11_500_000
CREDIT = 1_000_000
HASH = f"0x{'ab' * 32}"
SENT = SeenTransfer(hash=HASH, url=f"https://basescan.org/tx/{HASH}")
SUCCESS, CANCEL = "https://app.example/thanks?payment_id=1", "https://app.example/shop?payment_id=1&cancelled=true"


def payment(state: str, now: Millis, **changes: object) -> Payment:
    """A payment of 9 USDC on Base that has just begun, named after its state."""
    quote = Quote(
        network="base",
        network_title="Base",
        asset="USDC",
        decimals=6,
        address=ADDRESS,
        index=7,
        due=DUE,
        rate="1",
        sources=("chainlink",),
        quoted_at=now,
        locked_until=now + 15 * MINUTE,
        uri=f"ethereum:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913@8453/transfer?address={ADDRESS}&uint256={DUE}",
        confirmations=10,
        wait_seconds=20,
    )
    terms = Terms(
        package="standard",
        title="Standard",
        price=PRICE,
        credits=Micro(900 * CREDIT),
        bonus=Micro(100 * CREDIT),
        bonus_days=None,
    )
    begun = Payment(
        id=f"pay_{state}",
        uid=UID,
        provider="evm",
        flow="redirect",
        terms=terms,
        fingerprint="f",
        created_at=now,
        expires_at=now + 75 * MINUTE,
        refs={"address": ADDRESS, "index": "7", "network": "base", "asset": "USDC"},
        success_url=SUCCESS,
        cancel_url=CANCEL,
        is_opened=True,
        quote=quote,
        page_key=KEY,
    )
    return replace(begun, **changes)  # type: ignore[arg-type]  # fields of a payment


def states(now: Millis) -> Mapping[str, Payment]:
    """One payment for each state, by its name."""
    paid = ProviderReport(stage="paid", paid=PRICE)
    granted = AppliedChanges(is_granted=True)
    claim = LevelClaim(network="base", asset="USDC", address=ADDRESS, index=7, begin=0, end=DUE)
    settled = {"seen": paid, "applied": granted, "settled_at": now, "claim": claim}
    begun = payment("bitcoin", now)
    assert begun.quote is not None
    bitcoin = replace(
        begun.quote,
        network="bitcoin",
        network_title="Bitcoin",
        asset="BTC",
        decimals=8,
        address=BITCOIN_ADDRESS,
        due=9312,
        uri=BITCOIN_URI,
        confirmations=1,
        wait_seconds=600,
    )
    changed: Mapping[str, Mapping[str, object]] = {
        "waiting": {},
        "bitcoin": {"provider": "bitcoin", "quote": bitcoin},
        "pool": {"chain": report("pool", received=DUE)},
        "seen": {"chain": report("seen", received=DUE, confirmations=1, confirmations_needed=10, wait_seconds=18)},
        "confirming": {
            "chain": report("confirming", received=DUE, confirmations=3, confirmations_needed=10, wait_seconds=14)
        },
        "tagged": {"chain": report("confirming", received=DUE, wait_seconds=900)},
        "partial": {"chain": report("partial", received=PART, missing=DUE - PART)},
        "bitcoin_partial": {
            "provider": "bitcoin",
            "quote": bitcoin,
            "chain": report("partial", received=9_000, missing=312, confirmations=1, confirmations_needed=1),
        },
        "late": {"chain": report("late", received=DUE)},
        "settled": {**settled, "chain": report("settled", received=DUE, lines=(line(DUE),))},
        "over": {**settled, "chain": report("settled", received=OVER, lines=(line(DUE), deposit(OVER - DUE)))},
        "review": {"chain": report("review", received=DUE), "problem": "swept_address"},
        "taken_back": {
            **settled,
            "seen": replace(paid, withdrawn="open", is_disputed=True),
            "chain": report("taken_back", received=DUE, lines=(replace(line(DUE), status="taken_back"),)),
        },
        "unavailable": {"chain": report("waiting", missing=DUE, is_unavailable=True)},
        "expired": {"seen": ProviderReport(stage="expired")},
    }
    return {name: payment(name, now, **fields) for name, fields in changed.items()}


def report(state: str, **changes: object) -> ChainReport:
    """A report of the chain with one transaction, if anything came."""
    transactions = (SENT,) if changes.get("received") else ()
    return ChainReport(**{"state": state, "transactions": transactions, **changes})  # type: ignore[arg-type]


def line(amount: int) -> Line:
    """The line of the package."""
    return Line(
        payment="pay_1",
        package="standard",
        network="base",
        asset="USDC",
        decimals=6,
        amount=amount,
        price=PRICE,
        credits=1_000 * CREDIT,
        status="settled",
    )


def deposit(amount: int) -> Line:
    """The line of what came above the price."""
    price = Fiat(amount // 10_000, "USD")
    return replace(line(amount), payment="pay_2", package="deposit", price=price, credits=amount * 100)


def store(documents: Documents, payments: Mapping[str, Payment], now: Millis) -> None:
    """Store these payments, for the backend and for their owner."""
    for each in payments.values():
        working = {**fields_of(each), "saga": None, "due_at": None, "lease": FREE}
        documents.commit([Put(saga_path(each.id), working), view_of(each, now)])
