"""Large exports for benches and tests: real entries of every kind, decided by the ledger, chained and signed.

A journal repeats one round: grants, calls with holds, charges, reversals, suspensions, expiries. All accounts
of an export have the same journal under their own names, so that each entry is chained and signed for itself.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from shared.kernel.canonical import Json, canonical
from shared.kernel.ids import HoldId, LotId, OperationId, Uid
from shared.kernel.money import Micro
from shared.kernel.settings import SigningKey
from shared.ledger.account import PRIORITY_PAID, SUSPENSION, Account, Archive, Lot
from shared.ledger.account_documents import SCHEMA, exported, plain_fields, seal_message, sweep_fields
from shared.ledger.codec import encode_account, encode_hold, encode_lot
from shared.ledger.commands import (
    Adjust,
    BudgetClaim,
    Capture,
    Charge,
    Command,
    Expire,
    ExtendHold,
    Freeze,
    Grant,
    PlaceHold,
    Reinstate,
    Release,
    Restore,
    Reverse,
    Suspend,
    Unfreeze,
)
from shared.ledger.decide import decide
from shared.ledger.entries import Entry, body_hash, genesis
from shared.ledger.export_format import FORMAT, FORMAT_VERSION, HEADER_CONTEXT, header_message
from shared.ledger.hold_names import capture_operation
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import ENTRY_CONTEXT, SEAL_CONTEXT

LEDGER = "demo-bench"
KEYS = KeyRing((SigningKey(kid="bench-1", seed=bytes(range(32))),))
BEGUN_AT = 1_600_000_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
TURNS = 9
"""Number of calls of a model in a round. Most entries of a real journal are holds and charges of calls."""
CREDIT = 1_000_000
NONCE = "n0"
UID = Uid("u000000")


@dataclass(slots=True)
class Journal:
    """Account that decides one round of commands after the other.

    `lots` are the empty lots of all rounds as canonical texts. `holds` are the ended holds of the last round's
    calls, and the suspensions of all rounds, each with the seq of its last entry.
    """

    uid: Uid
    now: int = BEGUN_AT
    rounds: int = 0
    account: Account = field(init=False)
    lots: dict[LotId, str] = field(default_factory=dict)
    holds: list[tuple[int, str]] = field(default_factory=list)
    _round: dict[LotId, Lot] = field(default_factory=dict)
    """Lots that have left the state in this round. Commands of the round may name them."""

    def __post_init__(self) -> None:
        self.account = Account(ledger=LEDGER, uid=self.uid, head=genesis(LEDGER, self.uid))

    def next_round(self) -> Iterator[Entry]:
        """Decide one more round, and yield the new entries."""
        self._round = {}
        self.holds = [(seq, hold) for seq, hold in self.holds if SUSPENSION in hold]
        for command in commands(self.rounds, self.now):
            yield from self._execute(command)
        if self.account.available:
            yield from self._execute(_charge_of_all(self.rounds, self.account))
        self.lots.update((name, encode_lot(lot)) for name, lot in self._round.items())
        self.rounds += 1
        self.now += HOUR

    def _execute(self, command: Command) -> Sequence[Entry]:
        self.now += SECOND
        archive = Archive(lots=self._round, is_whole=True, rest=())
        decision = decide(self.account, command, self.now, kid=KEYS.kid, archive=archive)
        self.account = decision.account
        self._round.update(decision.archive.lots)
        self.holds += ((self.account.seq, encode_hold(hold)) for hold in decision.archive.holds.values())
        return decision.entries


def commands(number: int, now: int) -> Iterator[Command]:
    """Yield the commands of a round that begins at `now`. Their entries are of every kind."""
    names = itertools.count()

    def named() -> OperationId:
        return OperationId(f"chat:{number}:{next(names)}:7f3d9a11c2e84b56")

    bought, gift, bonus = (LotId(f"lot_{number}_{kind}") for kind in ("bought", "refund", "bonus"))
    tags = (("conversation", f"conv_{number}"), ("key", "key_1f6b2c"), ("model", "gpt-4o-mini"))
    budgets = (BudgetClaim(id="key_1f6b2c", limit=Micro(10**12)),)
    bonus_ends = now + 20 * SECOND
    yield Grant(
        operation=named(), amount=Micro(40 * CREDIT), lot=bought, source="world:stripe", is_paid=True,
        priority=PRIORITY_PAID,
    )  # fmt: skip
    yield Grant(operation=named(), amount=Micro(CREDIT), lot=gift, source="refund:ai")
    yield Grant(operation=named(), amount=Micro(9 * CREDIT), lot=bonus, source="promo:welcome", expires_at=bonus_ends)
    for turn in range(TURNS):
        hold = HoldId(f"hold_{number}_{turn}")
        yield PlaceHold(
            operation=named(), amount=Micro(CREDIT), hold=hold, purpose="chat", lifetime=15 * MINUTE,
            principal="key_1f6b2c", tags=tags, budgets=budgets,
        )  # fmt: skip
        if turn % 4 == 0:
            yield ExtendHold(
                operation=named(), hold=hold, amount=Micro(9_000), at_least=Micro(0), accrued=Micro(700),
                lifetime=15 * MINUTE,
            )  # fmt: skip
        if turn % 4 == 3:  # noqa: PLR2004  one call in four fails
            yield Release(operation=capture_operation(hold), hold=hold, is_unused=True)
        else:
            usage = (("input_tokens", 800 + turn), ("output_tokens", 200 + turn))
            yield Capture(operation=capture_operation(hold), hold=hold, amount=Micro(300_000 + turn), usage=usage)
    yield Charge(operation=named(), amount=Micro(250_000), purpose="images", tags=tags, budgets=budgets)
    yield Suspend(operation=named(), lots=(bought,), hold=HoldId(f"susp_{number}"))
    yield Reinstate(operation=named(), hold=HoldId(f"susp_{number}"))
    yield Reverse(operation=named(), lot=bought, target=Micro(10 * CREDIT))
    yield Restore(operation=named(), lot=bought, target=Micro(0))
    yield Reverse(operation=named(), lot=bought, target=Micro(40 * CREDIT))
    yield Freeze(operation=named())
    yield Unfreeze(operation=named())
    yield Adjust(operation=named(), amount=CREDIT)
    yield Adjust(operation=named(), amount=-CREDIT)
    yield Expire()


def _charge_of_all(number: int, account: Account) -> Charge:
    """Return the command that spends the last credits, so that the account does not grow from round to round."""
    operation = OperationId(f"chat:{number}:last:7f3d9a11c2e84b56")
    return Charge(operation=operation, amount=Micro(account.available), purpose="images")


def header_line() -> bytes:
    """Return the header of an export of the bench's ledger."""
    fields: dict[str, Json] = {
        "format": FORMAT,
        "keys": [dict(key.exported()) for key in KEYS.registry],
        "ledger": LEDGER,
        "type": "header",
        "version": FORMAT_VERSION,
    }
    return _line({**fields, "seal": f"{KEYS.kid}:{KEYS.sign(HEADER_CONTEXT, header_message(fields))}"})


def one_account(entries: int) -> Iterator[bytes]:
    """Yield the lines of an account with at least this number of entries, decided one by one."""
    journal = Journal(UID)
    while journal.account.seq < entries:
        for entry in journal.next_round():
            yield entry_line(entry.seq, entry.kind, entry.body, entry.hash)
    yield from _end_lines(UID, journal.lots, journal.holds, encode_account(journal.account), journal.account)


def many_accounts(accounts: int, entries: int) -> Iterator[bytes]:
    """Yield the lines of accounts with at least this number of entries each: one journal under many names."""
    journal = Journal(UID)
    first: list[Entry] = []
    while journal.account.seq < entries:
        first += journal.next_round()
    for number in range(accounts):
        yield from _renamed(journal, first, Uid(f"u{number:06d}"))


def _renamed(journal: Journal, entries: Sequence[Entry], uid: Uid) -> Iterator[bytes]:
    """Yield the lines of the journal as if another account had it. Both names have the same length."""
    account, old = journal.account, journal.uid
    before, prev = genesis(LEDGER, old), genesis(LEDGER, uid)
    for entry in entries:
        body = entry.body.replace(before, prev).replace(f'"uid":"{old}"', f'"uid":"{uid}"')
        before, prev = entry.hash, body_hash(body)
        yield entry_line(entry.seq, entry.kind, body, prev)
    state = encode_account(account).replace(account.head, prev).replace(old, uid)
    yield from _end_lines(uid, journal.lots, journal.holds, state, account)


def entry_line(seq: int, kind: str, body: str, hash_: str) -> bytes:
    """Return the line of an entry."""
    return _line(
        {
            "type": "entry",
            "schema": SCHEMA,
            "seq": seq,
            "kind": kind,
            "body": body,
            "hash": hash_,
            "signature": KEYS.sign(ENTRY_CONTEXT, hash_.encode()),
        }
    )


def _end_lines(
    uid: Uid, lots: Mapping[LotId, str], holds: Sequence[tuple[int, str]], state: str, account: Account
) -> Iterator[bytes]:
    """Yield the lines of archived lots and holds, and of the sealed state."""
    for name in sorted(lots):
        yield _line({"type": "lot", "uid": uid, "id": name, "state": lots[name]})
    for seq, hold in holds:
        yield _line({"type": "hold", "uid": uid, "seq": seq, "state": hold})
    shown = {**plain_fields(account), **sweep_fields(replace(account, uid=uid))}
    seal = KEYS.sign(SEAL_CONTEXT, seal_message(LEDGER, uid, 1, NONCE, state))
    yield _line(
        {
            "type": "account",
            "uid": uid,
            "version": 1,
            "nonce": NONCE,
            "state": state,
            "seal": f"{KEYS.kid}:{seal}",
            "plain": {name: cast("Json", exported(value)) for name, value in shown.items() if value is not None},
        }
    )


def _line(value: Mapping[str, Json]) -> bytes:
    return canonical(value) + b"\n"
