"""Look at one address: read the levels on the chains, and advance the document in one commit with new deposits."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import local

from shared.kernel.clock import MINUTE, SECOND, Clock, Millis, to_datetime
from shared.kernel.documents import (
    Data,
    Document,
    Documents,
    OutcomeUnknown,
    Patch,
    PreconditionFailed,
    Put,
    Query,
    Where,
)
from shared.kernel.events import Alerts, log
from shared.payments.chains.addresses import (
    COLLECTION,
    AddressRecord,
    Key,
    SeenTransferOf,
    address_path,
    from_data,
    to_data,
    with_transfers,
)
from shared.payments.chains.amounts import value_cents
from shared.payments.chains.authorized_claims import address_tier, open_orders, with_orders, without_forgettable
from shared.payments.chains.claims import LevelFacts, LevelSighting, decided, with_arrival
from shared.payments.chains.levels import LevelRecord, Look, advance, with_folded
from shared.payments.chains.moved import moved_payments
from shared.payments.chains.network_view import NetworkView, reading_of, view_of
from shared.payments.chains.networks import Network, Tier
from shared.payments.chains.outages import Outage, extended
from shared.payments.chains.ports import AssetName, BlockGone, Chain, ChainUnavailable, NetworkName
from shared.payments.chains.prices import Rates
from shared.payments.chains.screening import SCREENED_SENDER, NoScreening, Screening
from shared.payments.chains.seen import AddressView
from shared.payments.chains.sources import ONE_SOURCE_USD_MAX, agreed
from shared.payments.ports import UnknownAtProvider
from shared.sagas.payments.deposits import deposit, deposit_writes

LOOK_ATTEMPTS_MAX = 5
OTHERS_MAX = 300
"""Most addresses with coins that are not final, of one user, that are added up for the tier."""
UNKNOWN_CENTS = 10**12
"""Value of coins whose price is unknown: the strictest tier applies."""
SOON: Millis = 5 * SECOND
"""Time until the next look while the block of a level is gone."""
NEXT: Millis = 15 * SECOND
"""Time until the next look while coins are not deep enough, or payments are not settled."""
FINALITY_PAUSE: Millis = 2 * MINUTE
"""Time until the next look while coins count already, and are not final."""
PAST_PATIENCE: Millis = 30 * MINUTE
"""Time after the end of lock or grace in which the level at that end is asked for again and again."""


class AddressLooks:
    """Looks at addresses. Safe to call at once from many places: a look commits only on the version that was read."""

    def __init__(  # noqa: PLR0913, PLR0917  # the parts of a look, each from another place
        self,
        documents: Documents,
        chains: Callable[[], Mapping[NetworkName, Chain]],
        networks: Mapping[NetworkName, Network],
        rates: Rates,
        credits_per_usd: int,
        clock: Clock,
        alerts: Alerts,
        outages: Callable[[NetworkName], Sequence[Outage]] = lambda _network: (),
        screening: Screening | None = None,
    ) -> None:
        self._screening = screening or NoScreening()
        self._documents = documents
        self._chains = chains
        self._networks = networks
        self._rates = rates
        self._credits_per_usd = credits_per_usd
        self._clock = clock
        self._alerts = alerts
        self._outages = outages
        self._fresh = local()

    def look(self, family: str, index: int, networks: Collection[NetworkName] | None = None) -> AddressView:
        """Look at the address on these networks, or on all of the family, and return the advanced record.

        A network that cannot be asked is named in the answer, and the levels there stay as they are. Raises
        UnknownAtProvider for an address that was never given out.
        """
        for _ in range(LOOK_ATTEMPTS_MAX):
            document = self._documents.get(address_path(family, index))
            if document is None:
                raise UnknownAtProvider(family)
            try:
                return self._looked(document, networks)
            except (PreconditionFailed, OutcomeUnknown):
                continue
        raise ChainUnavailable(family, "busy")

    @contextmanager
    def remembered(self, seen: AddressView) -> Iterator[None]:
        """Let this thread read the document instead of the chain while settling the payments of a fresh look.

        The document is read again under each payment's lease, since another worker may have looked later.
        """
        self._fresh.seen = seen
        try:
            yield
        finally:
            self._fresh.seen = None

    def seen(self, family: str, index: int, networks: Collection[NetworkName] | None = None) -> AddressView:
        """Return the present record with the look that this thread has just made, or look at these networks now."""
        fresh: AddressView | None = getattr(self._fresh, "seen", None)
        if fresh is None or (fresh.record.family, fresh.record.index) != (family, index):
            return self.look(family, index, networks)
        document = self._documents.get(fresh.record.path)
        return fresh if document is None else replace(fresh, record=from_data(document.data))

    # One look --------------------------------------------------------------------------------------------------------

    def _looked(self, document: Document, wanted: Collection[NetworkName] | None) -> AddressView:
        """Look at the networks, advance each level in turn, and commit. Raises PreconditionFailed, OutcomeUnknown."""
        before = from_data(document.data)
        record = self._standing_still(before)
        views, unavailable = self._views(record, wanted)
        document, record = self._exposed(document, record, views)
        total = self._total_cents(record) if record.unfinal_cents else 0
        tiers = {name: address_tier(record, view.network, total) for name, view in views.items()}
        exposed = 0  # Coins at the head of a network that was not read deeper count for the tier all the same.
        for name, view in views.items():
            try:
                record = self._advanced(record, self._believed(record, view, total), tiers[name])
            except (ChainUnavailable, BlockGone) as error:
                log("address_not_read", "WARNING", network=name, address=record.address, code=error.code)
                unavailable.add(name)
                exposed = record.unfinal_cents
        moved = record.order
        record = replace(record, order=before.order, unfinal_cents=max(exposed, self._cents(record)))
        kept = {key: with_folded(level, record.unsettled) for key, level in record.levels.items()}
        record = without_forgettable(self._due(replace(record, levels=kept), before), self._clock.now())
        self._save(document, before, record)
        return AddressView(
            record=record,
            networks=self._networks,
            heads={name: view.head for name, view in views.items()},
            depths={name: tier.depth for name, tier in tiers.items()},
            unavailable=frozenset(unavailable),
            at=self._clock.now(),
            moved=moved,
        )

    def _standing_still(self, record: AddressRecord) -> AddressRecord:
        """Return the record with the ends of lock and grace moved by the network's outages, while the order is open."""
        order, now = record.order, self._clock.now()
        if order is None or not record.is_order_open or now <= order.locked_until:
            return record
        outages, begin = self._outages(order.network), order.quoted_at or record.opened_at
        moved = replace(
            order,
            locked_until=extended(order.locked_until, outages, begin, now),
            expires_at=extended(order.expires_at, outages, begin, now),
        )
        return replace(record, order=moved)

    def _views(
        self, record: AddressRecord, wanted: Collection[NetworkName] | None
    ) -> tuple[dict[NetworkName, NetworkView], set[NetworkName]]:
        """Ask each network for the present levels, and return the answers and the networks without an answer."""
        views: dict[NetworkName, NetworkView] = {}
        unavailable = set[NetworkName]()
        chains = self._chains()
        for name, network in self._networks.items():
            if network.family != record.family or (wanted is not None and name not in wanted):
                continue
            try:
                if name not in chains:
                    raise ChainUnavailable(name, "not_configured")
                views[name] = view_of(chains[name], network, record.address)
            except (ChainUnavailable, BlockGone) as error:
                log("network_not_read", "WARNING", network=name, code=error.code)
                unavailable.add(name)
        return views, unavailable

    def _exposed(
        self, document: Document, record: AddressRecord, views: Mapping[NetworkName, NetworkView]
    ) -> tuple[Document, AddressRecord]:
        """Store a higher value of coins that are not final before the tier is chosen.

        So two looks at two addresses of a user cannot both miss the other's coins.
        """
        heads = dict(record.levels)
        for name, view in views.items():
            for asset, level in view.at_head.items():
                known = record.level((name, asset))
                heads[(name, asset)] = replace(known, head=level + known.out)
        cents = self._cents(replace(record, levels=heads))
        if cents <= record.unfinal_cents:
            return document, record
        changes: Data = {"unfinal_cents": cents, "open_of": record.uid}
        version = self._documents.commit([Patch(document.path, changes, document.version)])[0]
        data = {**document.data, **changes}
        return replace(document, data=data, version=version), replace(record, unfinal_cents=cents)

    def _cents(self, record: AddressRecord) -> int:
        """Return the value in cents of all coins of an address that are not final."""
        total = 0
        for (network, asset), level in record.levels.items():
            known = self._networks.get(network)
            if not level.unfinal or known is None or asset not in known.assets:
                continue
            rate = self._rates.rate(network, asset)
            decimals = known.assets[asset].decimals
            total += UNKNOWN_CENTS if rate is None else value_cents(level.unfinal, decimals, rate.rate)
        return min(total, UNKNOWN_CENTS)

    def _total_cents(self, record: AddressRecord) -> int:
        """Return the value in cents of all coins of the user that are not final."""
        query = Query(collection=COLLECTION, where=(Where("open_of", "==", record.uid),), limit=OTHERS_MAX)
        others = [each.data for each in self._documents.query(query) if each.path != record.path]
        known = sum(int(str(each.get("unfinal_cents", 0))) for each in others)
        return UNKNOWN_CENTS if len(others) >= OTHERS_MAX - 1 else record.unfinal_cents + known

    def _believed(self, record: AddressRecord, view: NetworkView, total: int) -> NetworkView:
        """Return the view in which two sources must agree: for larger values, and before anything counts as missing.

        A final level that has become lower says that coins were sent away, or that the only answering source is wrong.
        """
        known = {key[1]: level for key, level in record.levels.items() if key[0] == view.network.name}
        is_gone = any(view.is_gone(level) for level in known.values())
        is_lower = any(view.at_final.get(name, each.final) + each.out < each.final for name, each in known.items())
        is_large = total > ONE_SOURCE_USD_MAX * 100
        return view.agreed() if is_gone or is_lower or is_large else view

    # One network -----------------------------------------------------------------------------------------------------

    def _advanced(self, record: AddressRecord, view: NetworkView, tier: Tier) -> AddressRecord:
        """Return the record after a look at one network. All levels of the network advance, or none."""
        deep, name = view.deep(tier), view.network.name
        at_deep = view.levels(deep)
        is_known = any(key[0] == name and level.mark is not None for key, level in record.levels.items())
        is_spent = is_known and record.address in view.chain.spent(deep.hash, [record.address])
        if is_spent and name not in record.swept:  # No source tells of a sweep alone.
            is_spent = record.address in agreed(view.chain).spent(deep.hash, [record.address])
        changed, swept, news = dict(record.levels), name in record.swept, set[AssetName]()
        for asset in view.network.assets:
            if asset not in at_deep or asset not in view.at_head or asset not in view.at_final:
                continue
            known = record.level((name, asset))
            look = Look(
                at=self._clock.now(),
                head=reading_of(view.at_head[asset], view.head),
                deep=reading_of(at_deep[asset], deep),
                final=reading_of(view.at_final[asset], view.final),
                is_gone=view.is_gone(known),
                is_spent=is_spent,
                pool=view.pool if asset == view.network.coin.name else 0,
                is_sum=view.chain.scans_blocks,
            )
            after = advance(known, look, is_swept=swept)
            swept = swept or after.is_swept
            news |= {asset} if after.record.head > known.head else set()
            if after.is_below_final:
                self._alerts.alert("chain_below_final", network=name, address=record.address)
            changed[(name, asset)] = self._arrived(record, (name, asset), after.record, view)
        if swept and name not in record.swept:
            self._alerts.alert("address_swept", network=name, address=record.address, payment=record.payment)
        swept_on = record.swept | ({name} if swept else set())
        kept = {key: level for key, level in changed.items() if level != LevelRecord()}
        risen = replace(record, levels=kept, swept=swept_on)
        facts = view.nonce_facts(open_orders(risen, name, at_deep), deep)
        evident = self._evident(risen, view, news)
        told = with_orders(evident, facts, self._clock.now(), lambda key: self._review(evident, key, view))
        return self._claimed(told, view)

    def _arrived(self, record: AddressRecord, key: Key, level: LevelRecord, view: NetworkView) -> LevelRecord:
        """Return the level with what is known of arrivals before the ends of lock and grace."""
        order, now = record.order_at(key), self._clock.now()
        if order is None or level.is_claimed:
            return level
        known = level
        for end, has_passed, before in (
            (order.locked_until, level.has_lock_passed, level.locked),
            (order.expires_at, level.has_grace_passed, level.graced),
        ):
            if has_passed or view.head.time <= end or level.head <= before:
                continue
            try:
                seen = view.level_at(end, key[1], now)
            except (ChainUnavailable, BlockGone):
                if now < end + PAST_PATIENCE:
                    raise
                continue  # Nodes forget old states. Then only coins that a look saw in time have arrived in time.
            if seen is not None:
                known = with_arrival(known, order, replace(seen, level=seen.level + level.out))
        return with_arrival(known, order, LevelSighting(level=level.head, at=now, time=view.head.time, pool=level.pool))

    def _claimed(self, record: AddressRecord, view: NetworkView) -> AddressRecord:
        """Return the record with the claims that are certain now on this network."""
        name, levels = view.network.name, dict(record.levels)
        for key, level in record.levels.items():
            asset = view.network.assets.get(key[1])
            if key[0] != name or asset is None:
                continue
            needs_rate = level.standing > level.end
            rate = self._rates.rate(name, asset.name) if needs_rate else None
            facts = LevelFacts(
                network=name,
                asset=asset.name,
                address=record.address,
                decimals=asset.decimals,
                rate=None if rate is None else rate.rate,
                sources=() if rate is None else rate.sources,
                minimum_cents=view.network.minimum_usd_cents,
                now=self._clock.now(),
                head_time=view.head.time,
                credits_per_usd=self._credits_per_usd,
                review=self._review(record, key, view) if needs_rate else "",
            )
            levels[key] = decided(level, record.order_at(key), facts)
        return replace(record, levels=levels)

    def _review(self, record: AddressRecord, key: Key, view: NetworkView) -> str:
        """Return the problem for which an operator must look at new coins; "" without one. Raises ChainUnavailable."""
        if key[0] in record.swept:
            return "address_swept"
        if not self._screening.is_on:
            return ""
        known = {each.sender for each in record.transfers if (each.network, each.asset) == key}
        senders = {*known, *(each.sender for each in view.transfers(key[1]))} - {""}
        return SCREENED_SENDER if self._screening.is_any_listed(key[0], senders) else ""

    def _evident(self, record: AddressRecord, view: NetworkView, news: Collection[AssetName]) -> AddressRecord:
        """Return the record with the transactions of new coins, as far as the chain tells."""
        found, levels = list[SeenTransferOf](), dict(record.levels)
        for key in [(view.network.name, asset) for asset in sorted(news)]:
            arrivals = view.arrivals(key[1])
            found += [view.shown(key[1], each) for each in arrivals]
            last = max((each.block.height for each in arrivals if each.block is not None), default=view.head.height)
            levels[key] = replace(levels[key], head_since=min(last, levels[key].head_since))
        return with_transfers(replace(record, levels=levels), tuple(found))

    # The document ----------------------------------------------------------------------------------------------------

    def _due(self, record: AddressRecord, before: AddressRecord) -> AddressRecord:
        """Return the record with the payments to settle, and the time of the next look."""
        moved = moved_payments(before, record)
        unsettled = record.unsettled | moved
        levels, now = record.levels.values(), self._clock.now()
        is_soon = any(level.gone is not None for level in levels)
        is_waiting = any(level.head > level.standing or level.pool for level in levels)
        is_under_way = bool(unsettled) or is_waiting or record.has_open_orders
        is_open = any(level.unfinal or level.missing > level.lost for level in levels) or self._lacks_a_rate(record)
        pause = SOON if is_soon else NEXT if is_under_way else FINALITY_PAUSE if is_open else None
        known = record.due_at
        due_at = None if pause is None else now + pause if known is None or known <= now else min(known, now + pause)
        return replace(record, unsettled=unsettled, due_at=due_at)

    def _lacks_a_rate(self, record: AddressRecord) -> bool:
        """Return True if coins wait for a price to become a payment."""
        waiting = [key for key, level in record.levels.items() if level.rest and key[0] in self._networks]
        listed = [(name, asset) for name, asset in waiting if asset in self._networks[name].assets]
        return any(self._rates.rate(name, asset) is None for name, asset in listed)

    def _save(self, document: Document, before: AddressRecord, record: AddressRecord) -> None:
        """Commit the record and new deposits, if anything has changed. Raises PreconditionFailed, OutcomeUnknown."""
        data = to_data(record)
        if {name: document.data.get(name) for name in data} == data:
            return
        now, known = self._clock.now(), {claim.payment for _, claim in before.claims()}
        new = [(key, claim) for key, claim in record.claims() if claim.payment not in known]
        writes = [
            write
            for key, claim in new
            if claim.payment != record.payment and before.authorized_order(claim.payment) is None
            for write in deposit_writes(deposit(record, self._networks[key[0]], key, claim, now), now)
        ]
        self._documents.commit([Put(document.path, data, document.version), *writes])
        for key, claim in new:
            log("level_claimed", payment=claim.payment, network=key[0], asset=key[1], amount=str(claim.size))

    def settled(self, record: AddressRecord, payments: Collection[str]) -> None:
        """Note that payments are in step with their claims. If the address has changed meanwhile, note nothing."""
        document = self._documents.get(record.path)
        if document is None:
            return
        left = from_data(document.data)
        if to_data(left) != to_data(record):
            return
        after = self._due(replace(left, unsettled=left.unsettled - frozenset(payments), due_at=None), left)
        due_at = None if after.due_at is None else to_datetime(after.due_at)
        changes = {"unsettled": sorted(after.unsettled), "due_at": due_at}
        try:
            self._documents.commit([Patch(document.path, changes, document.version)])
        except (PreconditionFailed, OutcomeUnknown):
            log("address_not_noted", "WARNING", path=record.path)
