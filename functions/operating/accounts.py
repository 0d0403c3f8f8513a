"""Commands on one account: `explain` the balance, `release-log` after a tamper alarm, and `redact-entry`."""

import argparse

from functions.operating.account_story import AccountStory, broken_lines, told_lines
from shared.bootstrap import Services
from shared.kernel.deadline import NEVER
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import Uid, is_uid
from shared.ledger.log.releases import release_account
from shared.ledger.views import EntryView
from shared.payments.payment import Payment, status_of
from shared.payments.problems import problem_sentence
from shared.payments.store import PaymentFilter
from shared.users.ports import UserNotFound

ENTRIES = 20
ENTRIES_MAX = 1_000
PAGE = 100
PAYMENTS = 20


def explain(asked: argparse.Namespace, services: Services) -> None:
    """Print the balance with its lots, the open holds, the last entries and the payments; only the faults of a chain
    that is broken.

    The audit trail records the look. Raises UserNotFound.
    """
    if not 1 <= asked.entries <= ENTRIES_MAX:
        raise InvalidValue("entries", f"must be 1 to {ENTRIES_MAX}")
    uid = uid_of(asked.who, services)
    with services.users.audit.recording("command:explain", "explain_account", uid, reason=None):
        findings = services.credits.ledger.verify(uid)
        lines = broken_lines(uid, findings) if findings else told_lines(_story(uid, asked.entries, services))
        for line in lines:
            print(line)


def release_log(asked: argparse.Namespace, services: Services) -> None:
    """Let the transparency log go on with an account that was parked, and print from which entry on.

    The audit trail records the act. Raises the errors of `release_account`, UserNotFound.
    """
    uid = uid_of(asked.who, services)
    documents, now = services.ports.documents(), services.clock.now()
    with services.users.audit.recording("command:release-log", "release_log", uid, reason=None):
        released = release_account(documents, uid, now, is_fork_accepted=asked.accept_fork)
    print(f"The log goes on behind entry {released.kept} of {uid}.")
    if released.lost:
        print(f"{released.lost} entries of the log are the account's no more. They stay in the log.")
    if not released.was_parked:
        print("The account was not parked.")


def redact_entry(asked: argparse.Namespace, services: Services) -> None:
    """Have the body of an entry deleted, one step in each run, and print what is left to do.

    The audit trail records the act. Raises the errors of `EntryRedactor.redact`, UserNotFound.
    """
    uid = uid_of(asked.who, services)
    name = f"redact:{uid}:{asked.seq}"
    recording = services.users.audit.recording
    with recording("command:redact-entry", "redact_entry", uid, reason=asked.reason, operation=name) as act:
        progress = services.credits.ledger.redactor.redact(uid, asked.seq, NEVER)
        act.after = {"seq": asked.seq, "progress": progress}
    if progress == "redacted":
        print(f"The body of entry {asked.seq} of {uid} is gone. Its hash, signature and proof stay.")
    else:
        print(f"The log gets a snapshot behind entry {asked.seq} of {uid}. Run this again in two minutes.")


def uid_of(who: str, services: Services) -> Uid:
    """Return the uid of a user that is named by e-mail address or uid, also of a user who has left.

    Raises UserNotFound.
    """
    found = services.ports.identity().find_by_email(who) if "@" in who else None
    if found is not None:
        return found.uid
    if not is_uid(who) or not _is_known(Uid(who), services):
        raise UserNotFound
    return Uid(who)


def _is_known(uid: Uid, services: Services) -> bool:
    """Return True if the user has a profile, a login or an account. The account is asked last: it may be broken."""
    if services.users.profiles.get(uid) is not None:
        return True
    try:
        services.ports.identity().get_user(uid)
    except UserNotFound:
        return services.credits.ledger.balance(uid).seq > 0
    return True


def _story(uid: Uid, entries: int, services: Services) -> AccountStory:
    """Read the facts of an account. Entries are read page by page, since one page is short at times."""
    ledger = services.credits.ledger
    items: list[EntryView] = []
    before: int | None = None
    while len(items) < entries:
        page = ledger.history(uid, before=before, limit=min(PAGE, entries - len(items)))
        items += page.items
        if (before := page.before) is None:
            break
    documents = services.payments.store.listed(PaymentFilter(uid=uid), limit=PAYMENTS, after=None).items
    known = services.payments.store.among([each.id for each in documents])
    return AccountStory(
        uid=uid,
        balance=ledger.balance(uid),
        holds=ledger.open_holds(uid).holds,
        entries=tuple(items),
        is_whole=before is None,
        payments=tuple(_payment(payment) for payment in known.values()),
    )


def _payment(payment: Payment) -> str:
    price = payment.terms.price
    problem = f"; {problem_sentence(payment)}" if payment.problem else ""
    return f"{payment.id}  {status_of(payment)}  {price.decimal} {price.currency}{problem}"
