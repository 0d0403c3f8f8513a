"""Operators' desk for coins: list the coins that came, and decide about coins under review."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.kernel.clock import Clock, to_datetime
from shared.kernel.documents import Document, Documents, OutcomeUnknown, Patch, PreconditionFailed, Query, Where
from shared.kernel.errors import NotFound
from shared.payments.chains.addresses import COLLECTION, AddressRecord, address_path, from_data, to_data
from shared.payments.chains.deposit_rows import DepositRow, rows_of, with_decision
from shared.payments.chains.networks import Network
from shared.payments.chains.ports import NetworkName
from shared.payments.lifecycle import IGNORED
from shared.sagas.payments.crypto_following import AddressBusy, AddressFollower
from shared.users.audit import AuditTrail
from shared.users.operator_acts import AdminCheck, require_another
from shared.users.principal import Principal

ATTEMPTS_MAX = 5
SCAN_PAGE = 200
SCANS_MAX = 5
"""Most pages of addresses that one answer looks through. The cursor of the answer continues behind them."""


class AddressNotFound(NotFound):
    """Error for an address that was never given out."""

    code = "crypto_address_not_found"

    def __init__(self) -> None:
        super().__init__("No address with this family and index was given out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositFilter:
    """Conditions of an operator's search for coins. All conditions hold at once; None: any value."""

    uid: str | None = None
    network: str | None = None
    state: str | None = None

    def fits(self, row: DepositRow) -> bool:
        """Return True if the row meets all conditions."""
        is_of_user = self.uid in {None, row.record.uid}
        return is_of_user and self.network in {None, row.network} and self.state in {None, row.state}


class CryptoDesk:
    """Operators' desk for coins. Each decision checks the current admin role, and is recorded."""

    def __init__(
        self,
        documents: Documents,
        networks: Mapping[NetworkName, Network],
        follower: AddressFollower,
        check: AdminCheck,
        audit: AuditTrail,
        clock: Clock,
    ) -> None:
        self._documents = documents
        self._networks = networks
        self._follower = follower
        self._check = check
        self._audit = audit
        self._clock = clock

    def page(self, wanted: DepositFilter, *, limit: int, after: str | None) -> tuple[list[DepositRow], str | None]:
        """Return rows of at least `limit` coins, if there are as many, by address, and the position behind them.

        All rows of an address come together. The position, for `after`, is None at the end.
        """
        rows: list[DepositRow] = []
        for _ in range(SCANS_MAX):
            found = self._scan(wanted, after)
            for document in found:
                after = document.id
                rows += [row for row in rows_of(from_data(document.data), self._networks) if wanted.fits(row)]
                if len(rows) >= limit:
                    return rows, after
            if len(found) < SCAN_PAGE:
                return rows, None
        return rows, after

    def assign(self, actor: Principal, family: str, index: int, reason: str) -> Sequence[DepositRow]:
        """Credit the coins under review at an address to the address's user, and return the address's rows.

        Raises Forbidden, OwnAccount, AddressNotFound, NothingUnderReview, AddressBusy.
        """
        return self._decided(actor, "assign_coins", (family, index), reason, "")

    def ignore(self, actor: Principal, family: str, index: int, reason: str) -> Sequence[DepositRow]:
        """Note that the coins under review at an address are nobody's deposit, and return the address's rows.

        Raises Forbidden, OwnAccount, AddressNotFound, NothingUnderReview, AddressBusy.
        """
        return self._decided(actor, "ignore_coins", (family, index), reason, IGNORED)

    def _decided(
        self, actor: Principal, act: str, place: tuple[str, int], reason: str, review: str
    ) -> Sequence[DepositRow]:
        self._check.require_admin(actor)
        known = from_data(self._read(place).data)
        before = {"coins": _told(known, self._networks)}
        with self._audit.recording(actor.uid, act, f"{place[0]}:{place[1]}", reason=reason, before=before) as recorded:
            require_another(actor, known.uid)
            self._commit(place, review)
            record = self._follower.follow(*place).record
            recorded.after = {"coins": _told(record, self._networks)}
        return list(rows_of(record, self._networks))

    def _commit(self, place: tuple[str, int], review: str) -> None:
        for _ in range(ATTEMPTS_MAX):
            document = self._read(place)
            data = to_data(with_decision(from_data(document.data), review))
            changes = {
                "levels": data["levels"],
                "unsettled": data["unsettled"],
                "due_at": to_datetime(self._clock.now()),
            }
            try:
                self._documents.commit([Patch(document.path, changes, document.version)])
            except (PreconditionFailed, OutcomeUnknown):
                continue
            return
        raise AddressBusy

    def _read(self, place: tuple[str, int]) -> Document:
        document = self._documents.get(address_path(*place))
        if document is None:
            raise AddressNotFound
        return document

    def _scan(self, wanted: DepositFilter, after: str | None) -> list[Document]:
        where = () if wanted.uid is None else (Where("uid", "==", wanted.uid),)
        behind = None if after is None else (f"{COLLECTION}/{after}",)
        return self._documents.query(Query(collection=COLLECTION, where=where, limit=SCAN_PAGE, after=behind))


def _told(record: AddressRecord, networks: Mapping[NetworkName, Network]) -> list[str]:
    return [f"{row.amount} {row.asset} on {row.network}: {row.state}" for row in rows_of(record, networks)]
