"""The daily look at cold addresses, slice by slice: a second payment may come months after the first."""

from collections.abc import Callable, Mapping

from shared.kernel.clock import DAY, Clock
from shared.kernel.documents import Create, Document, Documents, Patch, PreconditionFailed, Put
from shared.kernel.errors import DomainError
from shared.kernel.events import log, log_error
from shared.kernel.schemas import SchemaUnknown
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import Chain, NetworkName
from shared.payments.chains.sources import glance
from shared.payments.chains.watch_documents import (
    followed_data,
    slice_data,
    slice_levels,
    slice_path,
    watch_in,
    watch_path,
)
from shared.payments.chains.watching import LevelChanges, compared, hot_range, with_followed
from shared.sagas.engine.jobs import JobRun
from shared.sagas.payments.payment_addresses import PaymentAddresses, TakenIndices

SLICE = 1_000
"""Indices in a slice: the addresses of one call."""
STORE_ATTEMPTS_MAX = 3
DONE = -1
"""Number of the next slice once all slices of the day are read."""


class ColdAddresses:
    """Reader of the levels of addresses that are no longer hot. Chains that scan blocks find arrivals by themselves."""

    def __init__(
        self,
        *,
        documents: Documents,
        networks: Mapping[NetworkName, Network],
        chains: Callable[[], Mapping[NetworkName, Chain]],
        addresses: PaymentAddresses,
        indices: TakenIndices,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._networks = networks
        self._chains = chains
        self._addresses = addresses
        self._indices = indices
        self._clock = clock

    def read(self, run: JobRun) -> None:
        """Read slice after slice until the time is up, each once a day. The watch follows those whose level moved.

        If a slice fails, the network's slices wait for the next run, and hold up no other network.
        """
        day = self._clock.now() // DAY
        places = {name: number for name, number in _places_in(run.cursor, day).items() if name in self._networks}
        for name in sorted(self._networks):
            number: int | None = places.get(name, 0)
            while number is not None and number != DONE and not run.is_over():
                places[name] = number
                number = self._next(run, name, number)
            places[name] = places.get(name, 0) if number is None else number
        run.cursor = ",".join([str(day), *(f"{name}:{number}" for name, number in sorted(places.items()))])

    def _next(self, run: JobRun, name: NetworkName, number: int) -> int | None:
        """Read one slice and return the number of the next, DONE after the last; None after a failure.

        A slice whose document cannot be read is passed, and holds up no other slice.
        """
        try:
            has_more = self._read(name, number)
        except Exception as error:  # noqa: BLE001  # one broken slice must not hold up all others
            if isinstance(error, DomainError) and not isinstance(error, SchemaUnknown):
                log("cold_addresses_not_read", "WARNING", network=name, slice=number, code=error.code)
                return None
            log_error("cold_addresses_not_read", error, network=name, slice=number)
            taken = self._indices.taken(self._networks[name].family)
            return number + 1 if (number + 1) * SLICE < taken else DONE
        run.done += 1
        return number + 1 if has_more else DONE

    def _read(self, name: NetworkName, number: int) -> bool:
        """Read the levels of one slice, and let the watch follow the moved ones. Return True if there are more slices.

        Raises PreconditionFailed if the watch has stored its memory meanwhile, three times in a row.
        """
        chain, network = self._chains().get(name), self._networks[name]
        if chain is None or chain.scans_blocks:
            return False
        watch, known = self._documents.get_all([watch_path(name), slice_path(name, number)])
        state = watch_in(watch)
        cold = hot_range(state.samples, self._indices.taken(network.family), self._clock.now()).start
        part = range(number * SLICE, min((number + 1) * SLICE, cold))
        if watch is None or not part:
            return False
        addresses, assets = self._addresses.of(network.family, part), tuple(network.assets)
        view = glance(chain)
        seen = view.levels(view.block("latest").hash, list(addresses.values()), assets)
        changes = compared(slice_levels(known), addresses, assets, seen)
        if changes.moved:
            self._store(name, number, changes, known)
        return part.stop < cold

    def _store(self, name: NetworkName, number: int, changes: LevelChanges, known: Document | None) -> None:
        """Store the levels of a slice, and the moved indices among those that the watch follows, in one commit."""
        path, data = slice_path(name, number), slice_data(changes.levels)
        slice_ = Create(path, data) if known is None else Put(path, data, known.version)
        for attempt in range(STORE_ATTEMPTS_MAX):
            watch = self._documents.get(watch_path(name))
            assert watch is not None, "the watch has a memory, and memories stay"
            followed = with_followed(watch_in(watch).followed, changes.moved, self._clock.now())
            try:
                self._documents.commit([Patch(watch.path, followed_data(followed), watch.version), slice_])
            except PreconditionFailed:
                if attempt + 1 == STORE_ATTEMPTS_MAX:
                    raise
            else:
                return


def _places_in(cursor: str, day: int) -> dict[NetworkName, int]:
    """Return the next slice by network; none if the cursor is of another day."""
    first, *rest = cursor.split(",")
    return (
        {name: int(number) for name, _, number in (each.partition(":") for each in rest)} if first == str(day) else {}
    )
