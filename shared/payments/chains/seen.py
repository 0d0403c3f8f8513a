"""Answer of a look at an address, and the truth of each payment at that address. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from shared.kernel.clock import MINUTE, Millis
from shared.payments.chains.addresses import AddressRecord, Key
from shared.payments.chains.authorizations import AuthorizedOrder
from shared.payments.chains.authorized_claims import ORDER_REF
from shared.payments.chains.claims import WHOLE_PERMILLE, CoinOrder
from shared.payments.chains.levels import ClaimState, LevelRecord, PaymentClaim, share_up, states
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import Block, NetworkName
from shared.payments.chains.quote import LevelClaim
from shared.payments.chains.report import ChainReport, ChainState, ChainTruth, Line, LineStatus, SeenTransfer
from shared.payments.fiat import Fiat
from shared.payments.payment import DEPOSIT
from shared.payments.ports import Dispute, Refs, Stage, Truth, UnknownAtProvider

LINES_MAX = 50
"""Most lines that a payment shows, the newest."""
TRANSACTION_REF = "transaction"
"""Name of the ref that holds the hash that the facilitator told, once the chain has shown this transaction."""
UNPAID = "the authorization was used before, or cancelled, and no coins came for this payment"
GONE, LOST = "gone", "lost"
"""Names of the disputes for coins that are missing, and for coins that finality has passed without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressView:
    """Address after a look. `heads` and `depths` are of the networks that answered; `unavailable` names the others.

    `moved` is the order with lock and grace as outages of the network have moved their ends, None without an order.
    """

    record: AddressRecord
    networks: Mapping[NetworkName, Network]
    at: Millis
    heads: Mapping[NetworkName, Block] = field(default_factory=dict)
    depths: Mapping[NetworkName, int | str] = field(default_factory=dict)
    unavailable: Collection[NetworkName] = frozenset()
    moved: CoinOrder | None = None

    @property
    def order(self) -> CoinOrder | None:
        """Return the present order, with the moved ends if they are of the same quote."""
        known, moved = self.record.order, self.moved
        if known is None or moved is None or moved.quoted_at != known.quoted_at:
            return known
        return replace(known, locked_until=moved.locked_until, expires_at=moved.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One payment at an address: the key of the level, the claim if there is one, and the claim's state."""

    payment: str
    key: Key
    level: LevelRecord
    order: CoinOrder | None
    claim: PaymentClaim | None = None
    state: ClaimState | None = None
    authorized: AuthorizedOrder | None = None
    is_authorized: bool = False
    """True if a signed authorization pays the payment. `authorized` is None once the address has forgotten the order.
    """
    transaction: str = ""
    """Hash that the facilitator told for the authorization; "" if none, or if the chain has shown no such transfer."""


def truth_in(seen: AddressView, refs: Refs, disputes: Collection[str]) -> Truth:
    """Return the truth of the payment with these refs. `disputes` are names of disputes that were told before.

    Raises UnknownAtProvider if no part of the level begins there.
    """
    record = seen.record
    subject = _subject(replace(record, order=seen.order), refs)
    key, claim, state = subject.key, subject.claim, subject.state
    network = seen.networks.get(key[0])
    told = {"address": record.address, "index": str(record.index), "network": key[0], "asset": key[1]}
    is_paid = claim is not None and claim.size > 0
    return Truth(
        stage=_stage(subject, seen),
        refs={**told, **_own_refs(subject, refs)},
        is_live=network.is_live if network is not None else any(each.is_live for each in seen.networks.values()),
        payment=subject.payment,
        money=_money(record, subject, refs) if is_paid else None,
        paid=claim.price if claim is not None and is_paid else None,
        disputes=tuple(_disputes(claim, state, disputes)) if claim is not None and state is not None else (),
        failure=_failure(subject),
        chain=ChainTruth(
            report=_report(subject, seen),
            claim=_level_claim(record, key, claim) if claim is not None and is_paid else None,
            part=claim.price if claim is not None and is_paid and claim.is_part else None,
            review="" if claim is None else claim.review,
        ),
    )


def _money(record: AddressRecord, subject: _Subject, refs: Refs) -> str:
    """Return the name of the received money: the address and asset, and where the part begins if not at once."""
    money = f"{subject.key[0]}:{subject.key[1]}:{record.address}"
    if subject.is_authorized and subject.claim is not None:
        return f"{money}:{subject.claim.begin}"
    return f"{money}:{refs['begin']}" if "begin" in refs else money


def _own_refs(subject: _Subject, refs: Refs) -> Refs:
    """Return the refs that only some payments have."""
    known = {name: refs[name] for name in ("begin", ORDER_REF) if name in refs}
    return {**known, TRANSACTION_REF: subject.transaction} if subject.transaction else known


def _failure(subject: _Subject) -> str | None:
    """Return why an authorization has not paid; None if it has, still can, or is none."""
    order = subject.authorized
    if order is None or subject.claim is not None:
        return None
    return UNPAID if order.state == "unpaid" else order.refusal or None


def _subject(record: AddressRecord, refs: Refs) -> _Subject:
    """Return the payment with these refs. Raises UnknownAtProvider if no kept claim is that payment's."""
    if ORDER_REF in refs:
        return _authorized(record, refs, (refs["network"], refs["asset"]))
    order = record.order
    if "begin" not in refs and order is not None:
        key = (order.network, order.asset)
        level = record.level(key)
        if level.folded_claims:
            raise UnknownAtProvider(record.family)
        found = next(states(level), None)
        claim, state = found if found is not None else (None, None)
        return _Subject(payment=record.payment, key=key, level=level, order=order, claim=claim, state=state)
    key, begin = (refs["network"], refs["asset"]), refs.get("begin", "")
    level = record.level(key)
    for claim, state in states(level):
        if claim.payment != record.payment and str(claim.begin) == begin:
            return _Subject(payment=claim.payment, key=key, level=level, order=None, claim=claim, state=state)
    raise UnknownAtProvider(record.family)


def _authorized(record: AddressRecord, refs: Refs, key: Key) -> _Subject:
    """Return the payment of an authorization. Raises UnknownAtProvider if nothing of the payment is remembered."""
    payment = refs[ORDER_REF]
    level, order = record.level(key), record.authorized_order(payment)
    found = next(((claim, state) for claim, state in states(level) if claim.payment == payment), (None, None))
    if order is None and found[0] is None:
        raise UnknownAtProvider(record.family)
    return _Subject(
        payment=payment,
        key=key,
        level=level,
        order=None,
        claim=found[0],
        state=found[1],
        authorized=order,
        is_authorized=True,
        transaction=_shown(record, key, order) or refs.get(TRANSACTION_REF, ""),
    )


def _shown(record: AddressRecord, key: Key, order: AuthorizedOrder | None) -> str:
    """Return the hash that the facilitator told, if the chain has shown the payer's coins there; else "".

    A facilitator may tell any hash.
    """
    if order is None or not order.transaction:
        return ""
    signed = order.authorization
    wanted = (*key, order.transaction.lower(), signed.payer, signed.value)
    transfers = ((each.network, each.asset, each.shown.hash, each.sender, each.amount) for each in record.transfers)
    return wanted[2] if wanted in transfers else ""


def _stage_of_order(order: AuthorizedOrder, now: Millis) -> Stage:
    """Return the stage of an authorization without coins yet."""
    if order.state in {"expired", "unpaid"}:
        return "expired" if order.state == "expired" else "failed"
    if order.state == "open" and order.refusal:
        return "failed"
    return "approved" if order.is_to_send(now) else "pending"


def _stage(subject: _Subject, seen: AddressView) -> Stage:
    if subject.claim is not None:
        return "paid" if subject.claim.size else "expired"
    if subject.authorized is not None:
        return _stage_of_order(subject.authorized, seen.at)
    is_under_way = subject.level.pool > 0 or _is_whole(subject) or _is_taken(subject)
    return "pending" if is_under_way and seen.record.is_order_open else "open"


def _is_whole(subject: _Subject) -> bool:
    """Return True if the whole due amount has come, deep enough or not."""
    order = subject.order
    return order is not None and _came(subject.level) * 1000 >= order.due * WHOLE_PERMILLE


def _is_taken(subject: _Subject) -> bool:
    """Return True if the user takes the part that came, and the part waits for its depth."""
    return subject.order is not None and subject.order.is_taken and _came(subject.level) > 0


def _came(level: LevelRecord) -> int:
    return max(level.head, level.standing)


def _disputes(claim: PaymentClaim, state: ClaimState, known: Collection[str]) -> Iterator[Dispute]:
    """Yield the missing part of a claim as an open dispute, and the lost part as a lost one."""
    away = share_up(claim.price, state.open + state.lost, claim.size)
    lost = share_up(claim.price, state.lost, claim.size)
    if away > lost or GONE in known:
        amount = Fiat(away - lost, claim.price.currency)
        yield Dispute(id=GONE, amount=amount, status="open" if away > lost else "withdrawn")
    if lost or LOST in known:
        amount = Fiat(lost, claim.price.currency)
        yield Dispute(id=LOST, amount=amount, status="lost" if lost else "withdrawn")


def _level_claim(record: AddressRecord, key: Key, claim: PaymentClaim) -> LevelClaim:
    return LevelClaim(
        network=key[0],
        asset=key[1],
        address=record.address,
        index=record.index,
        begin=claim.begin,
        end=claim.end,
    )


def _report(subject: _Subject, seen: AddressView) -> ChainReport:
    """Return the state of a payment for the payer."""
    level, order, claim, name = subject.level, subject.order, subject.claim, subject.key[0]
    received = claim.size if claim is not None else 0 if subject.is_authorized else _came(level) + level.pool
    due = 0 if order is None else order.due
    is_short = received * 1000 < due * WHOLE_PERMILLE or (claim is not None and claim.is_part)
    head, depth, network = seen.heads.get(name), seen.depths.get(name), seen.networks.get(name)
    confirmations = head.height - level.head_since + 1 if head is not None and level.head_since else 0
    needed = depth if isinstance(depth, int) else None
    left = 0 if needed is None or network is None else max(0, needed - confirmations) * network.block_seconds
    return ChainReport(
        state=_state(subject, seen, confirmations),
        received=received,
        missing=max(0, due - received) if is_short else 0,
        confirmations=max(0, confirmations),
        confirmations_needed=needed,
        wait_seconds=int(left),
        transactions=tuple(_transactions(subject, seen)),
        lines=tuple(_lines(seen))[-LINES_MAX:] if order is not None else (),
        others=tuple(_others(seen)) if order is not None else (),
        is_final_loss=subject.state is not None and subject.state.lost > 0 and not subject.state.open,
        is_unavailable=name in seen.unavailable,
        **_moved_ends(order, seen.record.order),
    )


def _moved_ends(moved: CoinOrder | None, quoted: CoinOrder | None) -> Mapping[str, Millis | None]:
    """Return the ends of lock and grace that outages have moved by a minute or more, None for others.

    Whole minutes: an end moves on while an outage lasts, and a payment's view is not written at each look.
    """
    if moved is None or quoted is None:
        return {}
    return {
        "locked_until": _moved(moved.locked_until, quoted.locked_until),
        "expires_at": _moved(moved.expires_at, quoted.expires_at),
    }


def _moved(end: Millis, quoted: Millis) -> Millis | None:
    minutes = (end - quoted) // MINUTE
    return quoted + minutes * MINUTE if minutes > 0 else None


def _transactions(subject: _Subject, seen: AddressView) -> Iterator[SeenTransfer]:
    """Yield the transactions that brought coins. An address of agents has those of many payments."""
    for each in seen.record.transfers:
        is_own = not subject.is_authorized or each.shown.hash == subject.transaction
        if (each.network, each.asset) == subject.key and is_own:
            yield each.shown


def _state(subject: _Subject, seen: AddressView, confirmations: int) -> ChainState:
    level, order = subject.level, subject.order
    if subject.claim is not None:
        return _state_of_claim(subject.claim, subject.state)
    if subject.authorized is not None:
        return _state_of_order(subject.authorized)
    if not _came(level):
        is_late = order is not None and seen.at > order.expires_at
        return "pool" if level.pool else "late" if is_late else "waiting"
    if not _is_whole(subject) and not _is_taken(subject):
        return "partial"
    return "seen" if confirmations <= 1 else "confirming"


def _state_of_order(order: AuthorizedOrder) -> ChainState:
    if order.state in {"expired", "unpaid"}:
        return "late"
    return "seen" if order.state == "used" else "pool"


def _state_of_claim(claim: PaymentClaim, state: ClaimState | None) -> ChainState:
    if not claim.size:
        return "late"
    if claim.review:
        return "review"
    return "settled" if state is None or not (state.open or state.lost) else "taken_back"


def _lines(seen: AddressView) -> Iterator[Line]:
    """Yield a line for each payment at the address."""
    record = seen.record
    for key, level in sorted(record.levels.items()):
        network = seen.networks.get(key[0])
        for claim, state in states(level):
            if not claim.size or network is None or key[1] not in network.assets:
                continue
            is_ordered = claim.payment == record.payment
            told = _state_of_claim(claim, state)
            status: LineStatus = "review" if told == "review" else "taken_back" if told == "taken_back" else "settled"
            yield Line(
                payment=claim.payment,
                package=record.order.package if is_ordered and record.order is not None else DEPOSIT,
                network=key[0],
                asset=key[1],
                decimals=network.assets[key[1]].decimals,
                amount=claim.size,
                price=claim.price,
                credits=_credits(claim, record.order) if is_ordered else claim.credits,
                status=status,
            )


def _credits(claim: PaymentClaim, order: CoinOrder | None) -> int:
    if order is None:
        return 0
    if not claim.is_part:
        return order.credits + order.bonus
    return order.credits * claim.price.minor // max(1, order.price.minor)


def _others(seen: AddressView) -> Iterator[str]:
    """Yield the coins that came in another asset or on another network: `USDT on Polygon`."""
    order = seen.record.order
    for (name, asset), level in sorted(seen.record.levels.items()):
        if order is not None and (name, asset) != (order.network, order.asset) and _came(level):
            network = seen.networks.get(name)
            yield f"{asset} on {network.title if network is not None else name}"
