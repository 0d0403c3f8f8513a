"""Coins that came to an address, as rows for operators: credited, under review, too few, or on their way. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from shared.kernel.clock import Millis
from shared.kernel.errors import Conflict
from shared.payments.chains.addresses import AddressRecord, Key, SeenTransferOf
from shared.payments.chains.levels import ClaimState, LevelRecord, PaymentClaim, states
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import NetworkName
from shared.payments.fiat import Fiat
from shared.payments.lifecycle import IGNORED

DepositState = Literal["confirming", "dust", "review", "ignored", "credited", "taken_back", "lost"]
"""`confirming`: not deep enough. `dust`: worth less than the network's minimum. `review`: an operator must decide.
`taken_back`: the network dropped the coins. `lost`: finality has passed without them.
"""
DEPOSIT_STATES: tuple[DepositState, ...] = get_args(DepositState)


class NothingUnderReview(Conflict):
    """No coins at the address wait for a decision of an operator."""

    code = "nothing_under_review"

    def __init__(self) -> None:
        super().__init__("No coins at this address wait for a decision.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositRow:
    """Coins at an address that share a state. `payment`, `value` and `rate` are "" or None for coins of no payment.

    `at` is when the coins became a payment's, None before. `amount` is in atomic units.
    """

    record: AddressRecord
    network: NetworkName
    asset: str
    decimals: int
    state: DepositState
    amount: int
    payment: str = ""
    value: Fiat | None = None
    rate: str = ""
    at: Millis | None = None

    @property
    def id(self) -> str:
        """Return the name of the address: family and index."""
        return f"{self.record.family}:{self.record.index}"

    @property
    def transactions(self) -> tuple[SeenTransferOf, ...]:
        """Return the transactions that brought this asset on this network to the address."""
        key = (self.network, self.asset)
        return tuple(each for each in self.record.transfers if (each.network, each.asset) == key)


def rows_of(record: AddressRecord, networks: Mapping[NetworkName, Network]) -> Iterator[DepositRow]:
    """Yield a row for each payment at an address, and for the coins of no payment."""
    for key, level in sorted(record.levels.items()):
        network = networks.get(key[0])
        if network is not None and key[1] in network.assets:
            yield from _rows(record, key, level, network.assets[key[1]].decimals)


def _rows(record: AddressRecord, key: Key, level: LevelRecord, decimals: int) -> Iterator[DepositRow]:
    plain = DepositRow(record=record, network=key[0], asset=key[1], decimals=decimals, state="dust", amount=level.rest)
    for claim, state in states(level):
        if claim.size:
            told = replace(plain, state=_state(claim, state), amount=claim.size, payment=claim.payment)
            yield replace(told, value=claim.price, rate=claim.rate, at=claim.at)
    if level.rest:
        yield plain
    if level.head > level.standing:
        yield replace(plain, state="confirming", amount=level.head - level.standing)


def _state(claim: PaymentClaim, state: ClaimState) -> DepositState:
    if state.lost or state.open:
        return "lost" if state.lost and not state.open else "taken_back"
    if claim.review:
        return "ignored" if claim.review == IGNORED else "review"
    return "credited"


def with_decision(record: AddressRecord, review: str) -> AddressRecord:
    """Return the record in which all coins under review are decided: "" to credit them, IGNORED to leave them.

    Coins that were ignored before can be credited after all. Raises NothingUnderReview.
    """
    decided, levels = set[str](), dict(record.levels)
    for key, level in record.levels.items():
        found = {claim.payment for claim in level.claims if claim.review and claim.review != review}
        if found:
            claims = tuple(replace(each, review=review) if each.payment in found else each for each in level.claims)
            levels[key] = replace(level, claims=claims)
        decided |= found
    if not decided:
        raise NothingUnderReview
    return replace(record, levels=levels, unsettled=record.unsettled | decided)
