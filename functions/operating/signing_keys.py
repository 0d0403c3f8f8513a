"""Commands about signing keys: list the keys, end one, keep one, list what one signed, seal an account again."""

import argparse
from collections.abc import Iterator
from typing import Any

from functions.operating.accounts import uid_of
from shared.bootstrap import Services
from shared.kernel.clock import Millis, parse_rfc3339, rfc3339
from shared.kernel.errors import Conflict, InvalidValue
from shared.kernel.ids import Uid
from shared.kernel.money import format_credits
from shared.ledger.entries import OWN
from shared.ledger.key_acts import KeyStillNeeded
from shared.ledger.keys import RETIRED_KEY

ENTRIES_AT_ONCE = 500


class AccountNotSound(Conflict):
    """Account that breaks another law than that of a retired key, so that its state must not be sealed again."""

    code = "account_not_sound"

    def __init__(self, uid: Uid, rule: str) -> None:
        super().__init__(f"{uid} breaks the law “{rule}”: bring the documents back first, see make explain.", rule=rule)


def keys(asked: argparse.Namespace, services: Services) -> None:
    """Print each key with its part and its time, and the progress of a retirement."""
    del asked
    registry = services.credits.key_acts.registry
    for key in services.credits.keys.registry:
        end = registry.end_of(key.kid)
        until = "" if end is None else f", until {rfc3339(end)}"
        print(f"{key.kid}: {key.status}, since {rfc3339(key.since)}{until}")
    progress = services.credits.key_rotation.progress()
    if progress is not None:
        place = "all sealed again" if progress.is_over else f"at {progress.stage}"
        counts = f"{progress.moved} sealed again, {progress.refused} refused, {progress.failed} failed"
        print(f"{' and '.join(progress.kids)}: {place}; {counts}.")


def end_key(asked: argparse.Namespace, services: Services) -> None:
    """Let a key sign no more. The job `keys` retires the key once everything is sealed again."""
    preferred = services.settings.ledger_signing_keys[0].kid
    if preferred == asked.kid:
        raise KeyStillNeeded(asked.kid, f"{asked.kid} is the first of LEDGER_SIGNING_KEY: run make use-key first.")
    with services.users.audit.recording("command:end-key", "end_key", asked.kid, reason=asked.reason):
        end = services.credits.key_acts.end(asked.kid)
    print(
        f"{asked.kid} signs nothing more, and ends at {rfc3339(end)}. From then on everything is sealed again, each "
        "minute a part; then the key is retired. See make keys."
    )


def keep_key(asked: argparse.Namespace, services: Services) -> None:
    """Take back the announced end of a key that is not retired yet."""
    with services.users.audit.recording("command:keep-key", "keep_key", asked.kid, reason=asked.reason):
        services.credits.key_acts.keep(asked.kid)
    print(f"{asked.kid} stays in force.")


def key_uses(asked: argparse.Namespace, services: Services) -> None:
    """Print each entry by a key since a time that gives credits, to be compared with payments and the audit trail."""
    try:
        since = parse_rfc3339(asked.since)
    except ValueError as error:
        raise InvalidValue("since", "must be a time such as 2026-11-30T12:00:00Z") from error
    entries = accounts = 0
    for uid in _accounts_since(services, since):
        used = [body for body in _bodies_since(services, uid, since) if body["kid"] == asked.kid]
        entries, accounts = entries + len(used), accounts + bool(used)
        for body in used:
            if gain := _gain(body):
                source = ", ".join(sorted({each["from"] for each in body["postings"]} - OWN))
                print(f"{uid} {body['seq']} {rfc3339(body['at'])} {body['kind']} +{format_credits(gain)} from {source}")
    print(f"{asked.kid} signed {entries} entries of {accounts} accounts since {rfc3339(since)}.")


def reseal_account(asked: argparse.Namespace, services: Services) -> None:
    """Seal an account again whose restored documents carry the seal of a retired key.

    Raises AccountNotSound if the account breaks any other law.
    """
    uid = uid_of(asked.who, services)
    with services.users.audit.recording("command:reseal-account", "reseal_account", uid, reason=None):
        findings = services.credits.ledger.verify(uid)
        other = next((each for each in findings if each.rule != RETIRED_KEY or each.seq), None)
        if other is not None:
            raise AccountNotSound(uid, other.rule)
        services.credits.resealing.take_over(uid)
    print(f"{uid} is sealed by {services.credits.keys.kid}.")


def _accounts_since(services: Services, since: Millis) -> Iterator[Uid]:
    """Yield the accounts that changed at `since` (ms) or later."""
    after = ""
    while page := services.credits.resealing.accounts(after):
        yield from (Uid(each.id) for each in page if _changed_at(each.data.get("updated_at")) >= since)
        after = page[-1].path


def _changed_at(told: object) -> Millis:
    """Return the time of an account's last change; that of an account in an older or broken form is the latest."""
    try:
        return parse_rfc3339(str(told))
    except ValueError:
        return 2**53


def _bodies_since(services: Services, uid: Uid, since: Millis) -> list[Any]:
    """Return the bodies of the entries of the time `since` (ms) or later, read from the last one back."""
    ledger = services.credits.ledger
    last, found = ledger.balance(uid).seq, list[Any]()
    while last > 0:
        page = ledger.bodies(uid, max(1, last - ENTRIES_AT_ONCE + 1), last)
        newer = [body for body in page if body["at"] >= since]
        found = newer + found
        if len(newer) < len(page) or not page:
            break
        last -= ENTRIES_AT_ONCE
    return found


def _gain(body: Any) -> int:
    """Return the amount that an entry brought into the account from outside, in µcr."""
    into = sum(each["amount"] for each in body["postings"] if each["to"] in OWN and each["from"] not in OWN)
    return int(into)
