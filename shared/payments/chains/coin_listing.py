"""Listing of the coins that came to our addresses, as the chains show them at final blocks, for closed days.

A chain lists nothing by payment. So the level of each address at a final block is held against the claims on that
level: a claim is listed with the part of its coins that the chain has. Coins that no claim knows, and claims without
coins, are lines without an amount, which stand as long as the chain says so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.kernel.clock import DAY, Millis
from shared.kernel.documents import Document, Documents, Query
from shared.kernel.errors import InvalidValue
from shared.kernel.events import log
from shared.payments.chains.addresses import COLLECTION, AddressRecord, Key, address_path, from_data
from shared.payments.chains.claims import deposit_id
from shared.payments.chains.levels import LevelRecord, PaymentClaim
from shared.payments.chains.networks import Network
from shared.payments.chains.payouts import COLLECTION as PAYOUTS
from shared.payments.chains.payouts import Payout
from shared.payments.chains.payouts import from_data as payout_from
from shared.payments.chains.ports import Block, Chain, ChainUnavailable, NetworkName
from shared.payments.chains.sources import agreed
from shared.payments.fiat import Fiat
from shared.payments.listed_money import ListedMoney, MoneyPage
from shared.payments.payment import Payment

PAGE = 300
"""Addresses in a page: the addresses of one call."""
SCANNED_PAGE = 50
"""Addresses in a page of a family whose sources are asked for each address by itself."""
PAYOUTS_PAGE = 50
PAYOUT_REACH: Millis = 100 * DAY
"""Age of the oldest refund whose coins are looked for."""
ADDRESSES, REFUNDS = "addresses", "refunds"
NOTHING = Fiat(0, "USD")
"""Amount of a line that says only that chain and claims differ. The line's name has the number of units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FinalView:
    """Chain of a network, with the final block at which levels are read."""

    network: Network
    chain: Chain
    final: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class _LevelSight:
    """Record of a level, and the units that ever came by the chain's final block. `is_spent`: coins were sent away."""

    record: AddressRecord
    key: Key
    total: int
    is_spent: bool

    @property
    def level(self) -> LevelRecord:
        return self.record.level(self.key)

    def present(self, claim: PaymentClaim) -> int:
        """Return the units of a claim that the chain has. Coins that were final and sent away since count."""
        total = max(self.total, self.level.final) if self.is_spent else self.total
        return max(0, min(claim.end, total) - claim.begin)


class CoinListing:
    """Listing of the coins of one family of chains."""

    def __init__(
        self,
        family: str,
        documents: Documents,
        chains: Callable[[], Mapping[NetworkName, Chain]],
        networks: Mapping[NetworkName, Network],
    ) -> None:
        self._family = family
        self._documents = documents
        self._chains = chains
        self._networks = {name: each for name, each in networks.items() if each.family == family}

    def page(self, since: Millis, until: Millis, cursor: str | None) -> MoneyPage:
        """Return the next page; see `ListsMoney.listed_money`. Addresses come first, then the coins of refunds.

        Raises BlockGone, ChainUnavailable.
        """
        stage, _, after = (cursor or f"{ADDRESSES}:").partition(":")
        views = [self._view(name) for name in sorted(self._networks)]
        complete_to = min((view.final.time for view in views), default=until)
        if complete_to < until:
            return MoneyPage(lines=(), cursor=None, complete_to=complete_to)
        unreadable = 0
        if stage == ADDRESSES:
            limit = SCANNED_PAGE if any(view.chain.scans_blocks for view in views) else PAGE
            found = self._behind(COLLECTION, limit, after)
            of_family = [each for each in found if each.id.startswith(f"{self._family}:")]
            records = _readable(of_family)
            unreadable = len(of_family) - len(records)
            lines = [line for view in views for line in _lines(view, records, since, until)]
            onward: str | None = _onward(ADDRESSES, found, limit) or f"{REFUNDS}:"
        else:
            found = self._behind(PAYOUTS, PAYOUTS_PAGE, after)
            lines = [line for view in views for line in _sent(view, map(_payout, found), since, until)]
            onward = _onward(REFUNDS, found, PAYOUTS_PAGE)
        return MoneyPage(lines=lines, cursor=onward, complete_to=complete_to, unreadable=unreadable)

    def found(self, payments: Sequence[Payment], since: Millis) -> list[ListedMoney]:
        """Return the lines of payments whose claims no page lists: older than `since`, or folded into the level.

        `page` holds the levels of their addresses against the chain.
        """
        claimed = [(each, each.claim) for each in payments if each.provider == self._family and each.claim is not None]
        paths = sorted({address_path(self._family, claim.index) for _, claim in claimed})
        documents = self._documents.get_all(paths) if paths else []
        records = {each.path: each for each in _readable([each for each in documents if each is not None])}
        lines = []
        for payment, claim in claimed:
            record = records.get(address_path(self._family, claim.index))
            level = LevelRecord() if record is None else record.level((claim.network, claim.asset))
            kept = next((each for each in level.claims if each.payment == payment.id), None)
            if claim.end <= level.folded or (kept is not None and kept.at < since and kept.end <= level.final):
                name = f"{claim.network}:{claim.asset}:{claim.index}:{claim.begin}"
                price = payment.terms.price
                lines.append(ListedMoney(id=name, amount=price, at=payment.created_at, payment=payment.id))
        return lines

    def _behind(self, collection: str, limit: int, after: str) -> Sequence[Document]:
        query = Query(collection=collection, limit=limit, after=(after,) if after else None)
        return self._documents.query(query)

    def _view(self, name: NetworkName) -> _FinalView:
        network, chain = self._networks[name], self._chains().get(name)
        if chain is None:
            raise ChainUnavailable(name, "not_configured")
        chain, depth = agreed(chain), network.final_depth
        if depth is None:
            return _FinalView(network=network, chain=chain, final=chain.block("finalized"))
        head = chain.block("latest")
        return _FinalView(network=network, chain=chain, final=chain.block(max(0, head.height - depth + 1)))


def _lines(view: _FinalView, records: Sequence[AddressRecord], since: Millis, until: Millis) -> Iterator[ListedMoney]:
    """Yield the lines of a network for these addresses. Raises BlockGone, ChainUnavailable."""
    addresses, block = [each.address for each in records], view.final.hash
    levels = view.chain.levels(block, addresses, list(view.network.assets)) if addresses else {}
    sights = list[_LevelSight]()
    for record in records:
        for asset in view.network.assets:
            key, units = (view.network.name, asset), levels.get((record.address, asset))
            if units is None:
                raise ChainUnavailable(view.network.name, f"no source tells levels in {asset}")
            sights.append(_LevelSight(record=record, key=key, total=units + record.level(key).out, is_spent=False))
    short = [each for each in sights if each.total < each.level.final]
    spent = view.chain.spent(block, sorted({each.record.address for each in short})) if short else ()
    for each in sights:
        sight = replace(each, is_spent=each.record.address in spent)
        yield from _claimed(sight, since, until)
        yield from _unexplained(sight, view.final)


def _claimed(sight: _LevelSight, since: Millis, until: Millis) -> Iterator[ListedMoney]:
    """Yield the claims of the time from `since` up to `until`, each with the value of the coins that are there."""
    for claim in sight.level.claims:
        present = sight.present(claim)
        if since <= claim.at < until and present and claim.price.minor:
            minor = claim.price.minor * present // claim.size
            name = _name(sight, str(claim.begin))
            yield ListedMoney(id=name, amount=Fiat(minor, claim.price.currency), at=claim.at, payment=claim.payment)


def _unexplained(sight: _LevelSight, final: Block) -> Iterator[ListedMoney]:
    """Yield a line for coins that no look has seen, and for final coins that are not there."""
    level, record = sight.level, sight.record
    more = sight.total - max(level.head, level.standing)
    less = level.final - sight.total
    if more > 0:
        payment = record.payment if record.order_at(sight.key) and not level.is_claimed else _deposit(sight, level.end)
        yield _difference(sight, f"{more} units more", payment, final)
    elif less > 0:
        owner = next((each.payment for each in level.claims if each.end > sight.total), _deposit(sight, sight.total))
        yield _difference(sight, f"{less} units less", owner, final)


def _difference(sight: _LevelSight, told: str, payment: str, final: Block) -> ListedMoney:
    return ListedMoney(id=_name(sight, told), amount=NOTHING, at=final.time, payment=payment)


def _deposit(sight: _LevelSight, begin: int) -> str:
    """Return the id that a payment for the units from `begin` has, or would have."""
    return deposit_id(*sight.key, sight.record.address, begin)


def _name(sight: _LevelSight, told: str) -> str:
    return f"{':'.join(sight.key)}:{sight.record.index}:{told}"


def _sent(view: _FinalView, payouts: Iterator[Payout], since: Millis, until: Millis) -> Iterator[ListedMoney]:
    """Yield the refunds whose coins a block of this time shows. Raises ChainUnavailable."""
    for payout in payouts:
        is_near = until - PAYOUT_REACH <= payout.asked_at < until
        if payout.state != "sent" or payout.terms.network != view.network.name or not is_near:
            continue
        seen = view.chain.transaction(payout.transaction)
        if seen is not None and seen.succeeded and seen.block is not None and since <= seen.block.time < until:
            name = f"{view.network.name}:{payout.transaction}"
            yield ListedMoney(id=name, amount=payout.price, at=seen.block.time, is_out=True, payment=payout.payment)


def _onward(stage: str, found: Sequence[Document], limit: int) -> str | None:
    """Return the cursor behind a page; None behind the last page of a stage."""
    return f"{stage}:{found[-1].path}" if len(found) == limit else None


def _readable(documents: Sequence[Document]) -> list[AddressRecord]:
    """Return the records of addresses that can be read. A broken one is logged, and hides no other."""
    found = []
    for document in documents:
        try:
            found.append(from_data(document.data))
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, InvalidValue):
            log("address_unreadable", "ERROR", path=document.path)
    return found


def _payout(document: Document) -> Payout:
    return payout_from(document.id, document.data)
