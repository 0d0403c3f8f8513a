"""Comparison of the paid credits that the figures count for each account with the account's own state."""

from collections.abc import Sequence

from shared.kernel.documents import Document, Documents
from shared.kernel.events import log
from shared.kernel.schemas import SchemaUnknown
from shared.ledger.account import Account
from shared.ledger.account_documents import state_path, uid_of
from shared.ledger.codec import decode_account
from shared.ledger.errors import IntegrityFailed
from shared.ledger.log.figure_lots import LotMemory
from shared.ledger.log.position import LogPosition, stored_position
from shared.ledger.log.waiting import is_position, positions_behind
from shared.sagas.engine.jobs import JobRun

PAGE = 64
"""Accounts of one read: a state may have almost a megabyte."""
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)


class FigureAccounts:
    """Reader of positions and states, page by page."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def differing(self, run: JobRun, generation: int, after: str) -> tuple[bool, str | None]:
        """Compare the accounts behind the position's path `after`, until the run is over.

        Return True if an account differs, and the path of the last account that was compared; None behind the last
        account. Reads two documents for each account. An account that has moved meanwhile is passed over, and so is a
        document that cannot be read: other jobs tell of those. Raises StoreUnavailable.
        """
        is_different = False
        while not run.is_over():
            found = positions_behind(self._documents, after, PAGE)
            for position, account in self._pairs([each for each in found if is_position(each)], generation):
                if not _is_equal(position.figured.lots, account):
                    log("figures_account_differs", "ERROR", uid=position.uid)
                    is_different = True
            if len(found) < PAGE:
                return is_different, None
            after = found[-1].path
        return is_different, after

    def _pairs(self, found: Sequence[Document], generation: int) -> list[tuple[LogPosition, Account]]:
        """Return the counted positions with the states after the same entry."""
        positions = [each for each in map(_position, found) if each is not None]
        counted = [each for each in positions if each.seq == each.figured.at(generation).seq > 0]
        states = self._documents.get_all([state_path(each.uid) for each in counted]) if counted else []
        pairs = [(position, _account(state)) for position, state in zip(counted, states, strict=True)]
        return [(position, state) for position, state in pairs if state is not None and state.seq == position.seq]


def _position(document: Document) -> LogPosition | None:
    try:
        return stored_position(uid_of(document.path), document)
    except (IntegrityFailed, SchemaUnknown):
        return None


def _account(document: Document | None) -> Account | None:
    try:
        return None if document is None else decode_account(str(document.data["state"]))
    except (*UNREADABLE, SchemaUnknown):
        return None


def _is_equal(memory: LotMemory, account: Account) -> bool:
    """Return True if the state has the paid credits of the memory. Lots of the rest may be paid or not."""
    bought = [lot for lot in account.lots.values() if lot.is_paid]
    available, held = sum(lot.available for lot in bought), sum(lot.held for lot in bought)
    return held == memory.held and available <= memory.available <= available + account.rest_available
