"""Closing the account of a user who leaves, with a record of the user's debt under their mailbox."""

from shared.kernel.events import log
from shared.kernel.ids import Uid, fingerprint, operation_id
from shared.ledger.about import about
from shared.ledger.commands import Close
from shared.ledger.errors import AccountClosed
from shared.ledger.ledger import Ledger
from shared.sagas.accounts.mailbox_debts import MailboxDebts


class AccountClosing:
    """Closes accounts. Call `mailbox_mark` before the profile is deleted, and hand the result to `close`."""

    def __init__(self, ledger: Ledger, debts: MailboxDebts) -> None:
        self._ledger = ledger
        self._debts = debts

    def mailbox_mark(self, uid: Uid) -> str | None:
        """Return the keyed hash that stands for the user's mailbox; None if the user has no address that is
        surely their own.
        """
        return self._debts.mark(uid)

    def close(self, uid: Uid, mailbox: str | None) -> None:
        """Close the account, and remember the user's debt under `mailbox`, the result of `mailbox_mark`.

        If `mailbox` is None, the debt is not remembered. If the account is closed already, do nothing.
        """
        self._ledger.open(uid)
        command = Close(
            operation=operation_id("leaving", uid), fingerprint=fingerprint("leaving"), about=about("expiry")
        )
        try:
            owed = self._ledger.execute(uid, command).receipt.owed
        except AccountClosed:
            log("account_was_closed", uid=uid)
            return
        if mailbox is not None and owed:
            self._debts.remember(uid, mailbox, owed)
