"""The watch over the chains: the job of every minute, and the look that all open pages share.

A run reads the memory of a network, looks at the chain, and stores the memory with the indices to follow. Only then
the indices are followed, so that a worker that dies leaves them for the next run. Chains tell nothing but a nudge here:
`AddressFollower` decides the meaning of an address's level.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from shared.kernel.clock import SECOND, Clock, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Document, Documents, Patch, PreconditionFailed, Put, Write
from shared.kernel.errors import DomainError
from shared.kernel.events import Alerts, log, log_error
from shared.kernel.measured import CHAIN_HEIGHTS, CHAIN_TIMES
from shared.payments.chains.networks import Family, Network
from shared.payments.chains.ports import Block, BlockGone, Chain, ChainUnavailable, NetworkName
from shared.payments.chains.sources import glance
from shared.payments.chains.watch_documents import (
    LookRecord,
    followed_data,
    look_data,
    look_in,
    look_path,
    look_result,
    pages,
    watch_data,
    watch_in,
    watch_path,
)
from shared.payments.chains.watching import (
    News,
    WatchState,
    after_follows,
    after_look,
    follow_order,
    hot_range,
    is_news,
    sampled,
)
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.chain_looks import pool_turn, see_blocks, see_levels, see_pool
from shared.sagas.payments.open_pages import LOOK_EVERY, OpenPages
from shared.sagas.payments.payment_addresses import PaymentAddresses, TakenIndices

TURN_ATTEMPTS_MAX = 3
"""Most attempts to store the memory of a network, if others store it at the same time."""
NETWORK_SECONDS = 25.0
"""Most seconds that the job spends on one network before the next has its turn."""
DOWN_PAUSE: Millis = 30 * SECOND
"""Time between two looks of pages at a network that is unavailable, where a look may wait for timeouts."""
LOOK_SECONDS = 3.0
"""Most seconds that a request spends on following payments."""


class WatchFollower(Protocol):
    """Follower of an address, which also tells whether the watch must come back (`WatchFollows`)."""

    def follow(self, family: Family, index: int, networks: Collection[NetworkName] | None = None) -> bool:
        """Bring the payments of an address in step with the chains. Return True once everything there is final."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """Stored memory of a network, with the documents that were read."""

    state: WatchState
    record: LookRecord
    watch: Document | None
    look: Document | None


class Watcher:
    """The watch over all networks. Safe to call from many places at once."""

    def __init__(
        self,
        *,
        documents: Documents,
        networks: Mapping[NetworkName, Network],
        chains: Callable[[], Mapping[NetworkName, Chain]],
        addresses: PaymentAddresses,
        indices: TakenIndices,
        follower: WatchFollower,
        alerts: Alerts,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._networks = networks
        self._chains = chains
        self._addresses = addresses
        self._indices = indices
        self._follower = follower
        self._alerts = alerts
        self._clock = clock
        self._pages = OpenPages()

    def run(self, run: JobRun) -> None:
        """Look at each network and follow the addresses whose level moved or is not final.

        The network that comes first changes with each run, so that no network waits for ever for a slow one.
        """
        names = sorted(self._networks)
        first = int(run.cursor or 0)
        for number in range(first, first + len(names)):
            if run.is_over():
                return
            run.cursor = str((number + 1) % len(names))
            run.attempt("chains", names[number % len(names)], partial(self._watch_within, run))
        if names:
            run.cursor = str((first + 1) % len(names))

    def _watch_within(self, run: JobRun, name: NetworkName, _: Deadline) -> None:
        """Look at one network. The networks of a run are few, so each has more than an item's usual share."""
        self._watch(name, run.deadline.or_within(NETWORK_SECONDS).is_over)

    def look(self, network: NetworkName, index: int | None = None) -> None:
        """Look at the network, unless anybody has looked within `LOOK_EVERY`, so that open pages show the present.

        `index` is the address of an open page. A failure is logged and not raised, so that a reader can go ahead.
        """
        if network not in self._networks:
            return
        now = self._clock.now()
        if index is not None:
            self._pages.note(network, index, now)
        with self._pages.turn(network, now) as is_ours:
            if not is_ours:
                return
            try:
                self._look(network, now)
            except DomainError as error:
                log("chain_not_looked_at", "WARNING", network=network, code=error.code)

    # One look for all pages ------------------------------------------------------------------------------------------

    def _look(self, network: NetworkName, now: Millis) -> None:
        """If a look is due, take the turn to look for all, and look. Store which pages are open, if that is news."""
        document = self._documents.get(look_path(network))
        record = look_in(document)
        open_ = self._pages.merged(network, record.pages, now)
        is_due = now >= record.at + (DOWN_PAUSE if record.reason else LOOK_EVERY)
        if not is_due and set(open_.items()) <= set(record.pages.items()):
            return
        taken = replace(record, pages=open_, at=now if is_due else record.at)
        try:
            self._documents.commit([_turn_taken(network, document, taken)])
        except PreconditionFailed:
            return
        if is_due:
            until = self._clock.monotonic() + LOOK_SECONDS
            self._watch(network, lambda: self._is_past(until), only=open_)

    # One network -----------------------------------------------------------------------------------------------------

    def _watch(self, name: NetworkName, is_over: Callable[[], bool], only: Collection[int] | None = None) -> None:
        """Look at a network, store the memory, and follow addresses until the time is up.

        With `only`, the look is a page's: blocks are left to the job, and only news and these indices are followed.
        """
        for _ in range(TURN_ATTEMPTS_MAX):
            memory = self._memory(name)
            seen, state = self._seen(name, memory, is_over, is_page=only is not None)
            state, news = after_look(state, self._networks[name], seen, self._clock.now())
            self._tell(name, state, news)
            try:
                self._store(name, memory, state)
            except PreconditionFailed:
                continue
            self._follow(name, state, is_over, only)
            return
        log("chain_watch_overtaken", "WARNING", network=name)

    def _memory(self, name: NetworkName) -> _Memory:
        watch, look = self._documents.get_all([watch_path(name), look_path(name)])
        return _Memory(state=watch_in(watch), record=look_in(look), watch=watch, look=look)

    def _seen(
        self, name: NetworkName, memory: _Memory, is_over: Callable[[], bool], *, is_page: bool
    ) -> tuple[Block | str, WatchState]:
        """Look at the chain. Return the head, or the reason for which there is no usable answer, and the new memory."""
        try:
            seen = self._sighting(name, memory, is_over, is_page=is_page)
        except ChainUnavailable as error:
            log("chain_unavailable", "WARNING", network=name, reason=str(error.params["reason"]))
            return str(error.params["reason"]), memory.state
        except BlockGone as error:
            log("chain_moved_during_a_look", "WARNING", network=name)
            return error.code, memory.state
        CHAIN_HEIGHTS.set(name, to=seen[0].height)
        CHAIN_TIMES.set(name, to=seen[0].time / SECOND)
        return seen

    def _sighting(
        self, name: NetworkName, memory: _Memory, is_over: Callable[[], bool], *, is_page: bool
    ) -> tuple[Block, WatchState]:
        """Look at the hot addresses and open pages, or at the pool and the new blocks. Return head and new memory.

        Raises ChainUnavailable and BlockGone.
        """
        chain, network, now = self._chain(name), self._networks[name], self._clock.now()
        taken = self._indices.taken(network.family)
        state = replace(memory.state, samples=sampled(memory.state.samples, taken, now))
        open_ = sorted(index for index, until in memory.record.pages.items() if until > now and index < taken)
        if not chain.scans_blocks:
            hot = self._addresses.of(network.family, {*hot_range(state.samples, taken, now), *open_})
            sighting = see_levels(chain, state, hot, tuple(network.assets), now)
            return sighting.head, sighting.state
        asked = self._addresses.of(network.family, pool_turn(open_, now, LOOK_EVERY))
        state = self._with_pool(chain, state, asked)
        everything = None if is_page else self._addresses.all(network.family, taken, is_over)
        if everything is None:
            return chain.block("latest"), state
        sighting = see_blocks(chain, state, everything, now, is_over)
        return sighting.head, sighting.state

    def _chain(self, name: NetworkName) -> Chain:
        """Return the cheap view of a chain. Raises ChainUnavailable for a network without a source."""
        chain = self._chains().get(name)
        if chain is None:
            raise ChainUnavailable(name, "not_configured")
        return glance(chain)

    def _with_pool(self, chain: Chain, state: WatchState, asked: Mapping[int, str]) -> WatchState:
        """Return the memory after a look at the pool. Without an answer, blocks are read all the same."""
        try:
            return see_pool(chain, state, asked, self._clock.now())
        except ChainUnavailable as error:
            log("pool_not_looked_at", "WARNING", network=chain.network, reason=str(error.params["reason"]))
            return state

    def _tell(self, name: NetworkName, state: WatchState, news: News) -> None:
        """Tell operators that a network is down or up again.

        The alert comes before the commit: if the worker dies in between, the next one alerts again.
        """
        if news == "down":
            self._alerts.alert("network_unavailable", network=name, reason=state.health.reason)
        if news == "up":
            self._alerts.alert("network_available", network=name)

    def _store(self, name: NetworkName, memory: _Memory, state: WatchState) -> None:
        """Store the memory, and the look's result for all. What is stored already is not written again.

        While a page is open, the time of the look is news, too: the page need not look by itself. Raises
        PreconditionFailed if another worker has stored the memory meanwhile.
        """
        now, result = self._clock.now(), look_result(state.health.reason, state.silent, state.outages)
        is_open = any(until > now for until in memory.record.pages.values())
        is_told = memory.look is not None and all(memory.look.data.get(name) == told for name, told in result.items())
        look: Write = (
            Create(look_path(name), {**look_data(LookRecord(at=now)), **result})
            if memory.look is None
            else Patch(look_path(name), {**result, "at": now})
        )
        watch: Write = (
            Create(watch_path(name), watch_data(state))
            if memory.watch is None
            else Put(watch_path(name), watch_data(state), memory.watch.version)
        )
        writes = [] if state == memory.state else [watch]
        if is_open or not is_told:
            writes.append(look)
        if writes:
            self._documents.commit(writes)

    def _follow(
        self, name: NetworkName, state: WatchState, is_over: Callable[[], bool], only: Collection[int] | None
    ) -> None:
        """Follow the indices until the time is up. With `only`, follow news and these indices."""
        done: dict[int, bool] = {}
        for index in follow_order(state.followed):
            if is_over():
                break
            if only is None or index in only or is_news(state.followed[index]):
                done[index] = self._is_final(name, index)
        if done:
            self._forget(name, state.followed, done)

    def _is_final(self, name: NetworkName, index: int) -> bool:
        """Follow one index. A failure is logged, and the index is followed again later."""
        try:
            return self._follower.follow(self._networks[name].family, index, {name})
        except DomainError as error:
            log("address_not_followed", "WARNING", network=name, index=index, code=error.code)
        except Exception as error:  # noqa: BLE001  # one broken address must not hold up all others
            log_error("address_not_followed", error, network=name, index=index)
        return False

    def _forget(self, name: NetworkName, before: Mapping[int, Millis], done: Mapping[int, bool]) -> None:
        """Store which indices were followed, and forget those where everything is final."""
        for _ in range(TURN_ATTEMPTS_MAX):
            watch = self._documents.get(watch_path(name))
            stored = watch_in(watch).followed
            left = after_follows(stored, before, done, self._clock.now())
            if watch is None or left == stored:
                return
            try:
                self._documents.commit([Patch(watch.path, followed_data(left), watch.version)])
            except PreconditionFailed:
                continue
            return
        log("chain_follows_not_stored", network=name)  # They are followed once more, which changes nothing.

    def _is_past(self, until: float) -> bool:
        return self._clock.monotonic() >= until


def _turn_taken(network: NetworkName, document: Document | None, record: LookRecord) -> Write:
    """Return the write by which one caller takes the turn to look for all."""
    if document is None:
        return Create(look_path(network), look_data(record))
    return Patch(look_path(network), {"at": record.at, "pages": pages(record.pages)}, document.version)
