"""Close the account of a user who leaves, and remember under their mailbox what they owe."""

from shared.kernel.events import log
from shared.kernel.ids import Uid, fingerprint, operation_id
from shared.ledger.about import about
from shared.ledger.commands import Close
from shared.ledger.errors import AccountClosed
from shared.ledger.ledger import Ledger
from shared.sagas.mailbox_debts import MailboxDebts


class AccountClosing:
    """Closes accounts. The mailbox's mark is taken before the profile goes, so it is handed in."""

    def __init__(self, ledger: Ledger, debts: MailboxDebts) -> None:
        self._ledger = ledger
        self._debts = debts

    def mailbox_mark(self, uid: Uid) -> str | None:
        """Return the mark of the user's mailbox; None without an address that counts as theirs."""
        return self._debts.mark(uid)

    def close(self, uid: Uid, mailbox: str | None) -> None:
        """Close the account, once. `mailbox` is the mark; None: what is owed is remembered nowhere."""
        self._ledger.open(uid)
        command = Close(
            operation=operation_id("leaving", uid), fingerprint=fingerprint("leaving"), about=about("expiry")
        )
        try:
            owed = self._ledger.execute(uid, command).result.get("owed", 0)
        except AccountClosed:
            log("account_was_closed", uid=uid)
            return
        if mailbox is not None and isinstance(owed, int) and owed:
            self._debts.remember(uid, mailbox, owed)
