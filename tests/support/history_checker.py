"""Hold a history against what is stored, as Jepsen's checkers do: pure, and it names every anomaly it finds.

Three questions. *Bank*: is every balance the sum of its postings, never negative, nothing made or lost? *Idempotence*:
has every operation that somebody was told of exactly one effect, and one result for everybody? *Indefinite*: has an
operation whose outcome nobody heard at most one effect, and one that was refused none? Time bounds all of them: an
account is a register of seqs, so whoever begins after somebody else was answered sees at least what that answer saw,
and nothing of what was only asked for after he was answered himself.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from shared.kernel.ids import HoldId, OperationId
from shared.ledger.account import Account, Archive
from shared.ledger.books import merged
from shared.ledger.decide import settled
from shared.ledger.entries import draft_of, genesis
from shared.ledger.fold import NotApplicable, apply
from tests.support.history import Ask, Call
from tests.support.history_books import Book, Kept

Balance = tuple[int, int, int]
"""Available, held, debt."""
Flows = Counter[tuple[str, str]]

BY_TIME = "expire:"
HOLD_OUT = {("held", "available"), ("held", "debt"), ("held", "breakage")}
FLOWS_ALLOWED: Mapping[str, set[tuple[str, str]]] = {
    "grant": {("promo", "available"), ("available", "debt")},
    "charge": {("available", "revenue")},
    "hold": {("available", "held")},
    "extend": {("available", "held")},
    "capture": {("held", "revenue"), ("available", "revenue"), ("absorbed", "revenue"), *HOLD_OUT},
    "release": HOLD_OUT,
    "reverse": {("available", "promo"), ("debt", "promo"), ("available", "debt")},  # other credits pay what is owed
    "adjust": {("adjustment", "available"), ("available", "adjustment"), ("available", "debt")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Something that cannot be so: by which rule, where, and what was seen."""

    rule: str
    uid: str
    operation: str
    detail: str


def anomalies(calls: Sequence[Call], books: Iterable[Book]) -> list[Anomaly]:
    """All that is wrong; [] if what everybody was told can be true of what is stored."""
    by_uid: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_uid[call.ask.uid].append(call)
    return [anomaly for book in books for anomaly in _Trial(by_uid[book.uid], book).judge()]


class _Trial:
    """One account: its calls beside its book."""

    def __init__(self, calls: Sequence[Call], book: Book) -> None:
        self.calls = calls
        self.book = book
        self.balances = _balances(book)
        self.states, self.trouble = _states(book)
        self.entries = _entries_by_operation(book)
        self.asked = _calls_by_operation(calls)
        self.seen = _Seen(calls, {operation: seqs[0] for operation, seqs in self.entries.items()})
        self.placed = _seqs_naming(book, "hold", lambda body: body["kind"] == "hold")
        self.ended = _seqs_naming(book, "hold", lambda body: "end" in body["hold"])
        self.granted = _seqs_naming(book, "lot", lambda body: True)

    def judge(self) -> list[Anomaly]:
        found = [*self._law(), *self._bank()]
        for operation in {*self.entries, *self.book.operations, *self.asked}:
            found += self._effects(operation)
            found += self._answers(operation)
            found += self._order(operation)
        for call in self.calls:
            found += self._told(call)
        return found

    # Bank ----------------------------------------------------------------------------------------------------------

    def _law(self) -> Iterator[Anomaly]:
        """What the ledger's own auditor says, and whether the journal can be folded at all."""
        for finding in self.book.findings:
            yield self._anomaly(f"law:{finding.rule}", "", f"{finding.seq}: {finding.detail}")
        if self.trouble:
            yield self._anomaly("fold", "", self.trouble)

    def _bank(self) -> Iterator[Anomaly]:
        for seq, (balance, body) in enumerate(zip(self.balances[1:], self.book.entries, strict=True), start=1):
            available, held, debt = balance
            if min(balance) < 0:
                yield self._anomaly("negative", body["op"], f"{balance} at {seq}")
            if (available + held, held, debt) != (body["posted"], body["held"], body["debt"]):
                yield self._anomaly("bank", body["op"], f"entry {seq} says otherwise than {balance}")
            if body["seq"] != seq:
                yield self._anomaly("sequence", body["op"], f"entry {body['seq']} stands at {seq}")
        if self.balances[-1] != self.book.balance:
            yield self._anomaly("bank", "", f"the account says {self.book.balance}, its postings {self.balances[-1]}")

    # Idempotence and the indefinite: one operation at a time ----------------------------------------------------------

    def _effects(self, operation: OperationId) -> Iterator[Anomaly]:
        """One effect at most; none that was not asked for, or that everybody who asked was told did not happen."""
        seqs, kept = self.entries.get(operation, []), self.book.operations.get(operation)
        if len(seqs) > 1:
            yield self._anomaly("double_effect", operation, f"entries {seqs}")
        if seqs and kept is None:
            yield self._anomaly("not_remembered", operation, f"entry {seqs[0]}")
        if kept is None:
            return
        if not seqs and not _is_without_effect(kept):
            yield self._anomaly("lost_effect", operation, "it is remembered, and has no entry")
        if seqs and kept.seq != seqs[0]:
            yield self._anomaly("not_remembered", operation, f"entry {seqs[0]} is remembered as {kept.seq}")
        asked = [call for call in self.asked.get(operation, []) if call.ask.fingerprint == kept.fingerprint]
        if not any(call.verdict in {"ok", "info"} for call in asked):
            yield self._anomaly("failed_but_landed", operation, str([call.code for call in asked]))
        if seqs and asked and (wrong := _misfit(asked[0].ask, kept.result, self.book.entries[seqs[0] - 1])):
            yield self._anomaly("wrong_effect", operation, wrong)
        if _balance(kept.result) != self._balance_at(kept.seq):
            yield self._anomaly("wrong_result", operation, f"{kept.result} at {kept.seq}")

    def _answers(self, operation: OperationId) -> Iterator[Anomaly]:
        """Everybody who was told that it is done was told the same, and it is; only one of them did it."""
        done = [call for call in self.asked.get(operation, []) if call.verdict == "ok"]
        kept, first_end = self.book.operations.get(operation), min((_end(call) for call in done), default=0)
        for call in done:
            if kept is None:
                yield self._anomaly("lost", operation, f"{call.id} was told {call.told}")
            elif call.ask.fingerprint != kept.fingerprint:
                yield self._anomaly("mismatch_untold", operation, f"{call.id} asked something else, and was told ok")
            elif call.told != kept.result:
                yield self._anomaly("wrong_result", operation, f"{call.id} was told {call.told}, not {kept.result}")
            if call.started > first_end and not call.is_replay:
                yield self._anomaly("double_effect", operation, f"{call.id} was told that it was the first")
        if sum(not call.is_replay for call in done) > 1:
            yield self._anomaly("double_effect", operation, "more than one was told to be the first")

    def _order(self, operation: OperationId) -> Iterator[Anomaly]:
        """What began after an answer comes after it."""
        seqs, asked = self.entries.get(operation, []), self.asked.get(operation, [])
        if seqs and not asked:
            yield self._anomaly("unasked", operation, f"entry {seqs[0]}")
        elif seqs and seqs[0] <= (floor := self.seen.floor(min(call.started for call in asked))):
            yield self._anomaly("order", operation, f"entry {seqs[0]}, though {floor} was told before it was asked for")

    # Every answer by itself -------------------------------------------------------------------------------------------

    def _told(self, call: Call) -> Iterator[Anomaly]:
        if call.verdict == "raw":
            yield self._anomaly("raw", call.ask.operation, f"{call.id}: {call.code}: {call.told}")
        elif call.ask.kind == "read" and call.verdict == "ok":
            if not self._is_seen(call, lambda balance: balance == _balance(call.told)):
                yield self._anomaly("stale_read", "", f"{call.id}: {call.told}")
        elif call.verdict == "refused" and not self._is_explained(call):
            yield self._anomaly("untrue_refusal", call.ask.operation, f"{call.id}: {call.code} {call.told} {call.ask}")

    def _is_explained(self, call: Call) -> bool:
        """Whether there was a moment within the call at which this refusal was the truth."""
        kept = self.book.operations.get(call.ask.operation)
        low, high, about = self.seen.floor(call.started), self.seen.ceiling(_end(call)), call.ask.about
        if call.code == "idempotency_mismatch":
            return kept is not None and kept.fingerprint != call.ask.fingerprint and kept.seq <= high
        truths: Mapping[str, Callable[[], bool]] = {
            "insufficient_credits": lambda: self._is_seen(call, lambda balance: _is_too_little(balance, call)),
            "hold_not_found": lambda: self.placed.get(about, low + 1) > low,
            "hold_exists": lambda: self.placed.get(about, high + 1) <= high,
            "hold_resolved": lambda: self.ended.get(about, high + 1) <= high or self._is_over(call),
            "lot_not_found": lambda: self.granted.get(about, low + 1) > low,
            "lot_exists": lambda: self.granted.get(about, high + 1) <= high,
            "reversal_too_large": lambda: self.granted.get(about, high + 1) <= high and self._is_beyond_grant(call.ask),
        }
        return call.code in truths and not self._is_done_before(call, low) and truths[call.code]()

    def _is_done_before(self, call: Call, low: int) -> bool:
        """Whether somebody had been told that the operation is done, or what came after it, when this call began."""
        done = [other for other in self.asked[call.ask.operation] if other.verdict == "ok"]
        seqs = self.entries.get(call.ask.operation, [])
        return any(_end(other) < call.started for other in done) or any(seq <= low for seq in seqs)

    def _is_over(self, call: Call) -> bool:
        """Whether the hold's time was up before the call ended, though nobody had written that down."""
        hold = HoldId(call.ask.about)
        states = self.states[self.seen.floor(call.started) : self.seen.ceiling(_end(call)) + 1]
        return any(hold in state.holds and state.holds[hold].expires_at <= _end_at(call) for state in states)

    def _is_beyond_grant(self, ask: Ask) -> bool:
        body = self.book.entries[self.granted[ask.about] - 1]
        return ask.amount > sum(posting["amount"] for posting in body["postings"] if posting["to"] == "available")

    def _is_seen(self, call: Call, holds: Callable[[Balance], bool]) -> bool:
        """Whether `holds` of a balance that the account had within the call, with what was due by then."""
        low, high = self.seen.floor(call.started), self.seen.ceiling(_end(call))
        if any(holds(balance) for balance in self.balances[low : high + 1]):
            return True
        states = [state for state in self.states[low : high + 1] if _is_due(state, _end_at(call))]
        return any(holds(balance) for state in states for balance in _settlings(state, call))

    def _balance_at(self, seq: int) -> Balance | None:
        return self.balances[seq] if 0 <= seq < len(self.balances) else None

    def _anomaly(self, rule: str, operation: str, detail: str) -> Anomaly:
        return Anomaly(rule=rule, uid=self.book.uid, operation=operation, detail=detail)


class _Seen:
    """Between which seqs an account must have been at a time, by what everybody was told, and when."""

    def __init__(self, calls: Sequence[Call], seqs: Mapping[OperationId, int]) -> None:
        told = sorted((_end(call), call.told["seq"]) for call in calls if call.verdict == "ok" and "seq" in call.told)
        self._answered = [ended for ended, _ in told]
        self._floors = [0, *accumulate((seq for _, seq in told), max)]
        first: dict[OperationId, int] = {}
        for call in calls:
            first.setdefault(call.ask.operation, call.started)
        begun = sorted((first[operation], seq) for operation, seq in seqs.items() if operation in first)
        self._begun = [started for started, _ in begun]
        highest = max(seqs.values(), default=0)
        self._ceilings = [*accumulate((seq - 1 for _, seq in reversed(begun)), min)][::-1]
        self._ceilings.append(highest)

    def floor(self, at: int) -> int:
        """The youngest entry that somebody had been told of before `at`."""
        return self._floors[bisect_left(self._answered, at)]

    def ceiling(self, at: int) -> int:
        """The youngest entry that can have been there at `at`: the next had not been asked for."""
        return self._ceilings[bisect_right(self._begun, at)]


def _balances(book: Book) -> list[Balance]:
    """The balance after each entry, from its postings alone; at 0 nothing has happened."""
    balances, own = [(0, 0, 0)], Counter[str]()
    for body in book.entries:
        for posting in body["postings"]:
            own[posting["from"]] -= posting["amount"]
            own[posting["to"]] += posting["amount"]
        available, held, debt = (own[name] for name in ("available", "held", "debt"))
        balances.append((available, held, -debt))
    return balances


def _states(book: Book) -> tuple[list[Account], str]:
    """The state after each entry, as far as the journal can be folded, and why not further."""
    account, archive = Account(ledger=book.ledger, uid=book.uid, head=genesis(book.ledger, book.uid)), Archive()
    states = [account]
    for body in book.entries:
        try:
            after, left = apply(account, draft_of(body), archive)
        except (NotApplicable, KeyError) as error:
            return states, f"entry {body['seq']}: {error}"
        account, archive = after, merged(archive, left)
        states.append(account)
    return states, ""


def _entries_by_operation(book: Book) -> dict[OperationId, list[int]]:
    seqs: defaultdict[OperationId, list[int]] = defaultdict(list)
    for seq, body in enumerate(book.entries, start=1):
        if not body["op"].startswith(BY_TIME):
            seqs[body["op"]].append(seq)
    return dict(seqs)


def _calls_by_operation(calls: Sequence[Call]) -> dict[OperationId, list[Call]]:
    """In the order of their beginnings."""
    asked: defaultdict[OperationId, list[Call]] = defaultdict(list)
    for call in calls:
        if call.ask.kind != "read":
            asked[call.ask.operation].append(call)
    return dict(asked)


def _seqs_naming(book: Book, what: str, holds: Callable[[Mapping[str, Any]], bool]) -> dict[str, int]:
    bodies = [(seq, body) for seq, body in enumerate(book.entries, start=1) if what in body and holds(body)]
    return {body[what]["id"]: seq for seq, body in bodies}


def _end(call: Call) -> int:
    """A call whose end nobody lived to see may have ended at any time."""
    return 2**63 if call.ended is None else call.ended


def _end_at(call: Call) -> int:
    return 2**63 if call.ended_at is None else call.ended_at


def _is_due(state: Account, at: int) -> bool:
    return state.due_at is not None and state.due_at <= at


def _settlings(state: Account, call: Call) -> Iterator[Balance]:
    """The state as it was at any moment of the call, by what is due by time."""
    ends = [hold.expires_at for hold in state.holds.values()]
    for at in {call.started_at, _end_at(call), *(end for end in ends if call.started_at < end < _end_at(call))}:
        then = settled(state, at)
        yield then.available, then.held, then.debt


def _balance(told: Mapping[str, Any]) -> Balance:
    return told["available"], told["held"], told["debt"]


def _is_too_little(balance: Balance, call: Call) -> bool:
    available, held, _ = balance
    asked = {"extend": call.ask.amount // 2, "adjust": -call.ask.amount}.get(call.ask.kind, call.ask.amount)
    truth = {"available": available, "held": held, "required": asked}
    return call.told == truth and available < asked


def _is_without_effect(kept: Kept) -> bool:
    """What was taken back before is not taken back again."""
    return kept.result.get("reversed") == 0 and kept.result.get("owed") == 0


def _flows(body: Mapping[str, Any]) -> Flows:
    flows = Flows()
    for posting in body["postings"]:
        flows[posting["from"].partition(":")[0], posting["to"].partition(":")[0]] += posting["amount"]
    return flows


def _misfit(ask: Ask, told: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """How an entry, what was asked and what was told differ; empty if they do not."""
    flows = _flows(body)
    if strange := set(flows) - FLOWS_ALLOWED[ask.kind]:
        return f"a {ask.kind} moves {strange}"
    moved = _moved(ask, flows)
    if {name: told.get(name) for name in moved} != moved:
        return f"{moved} was moved, {told} was told"
    if not _is_amount_asked(ask, moved):
        return f"{moved} was moved for {ask}"
    named = {body.get("hold", {}).get("id"), body.get("lot", {}).get("id")} | {p.get("lot") for p in body["postings"]}
    return f"it is not about {ask.about}" if ask.about and ask.about not in named else ""


def _moved(ask: Ask, flows: Flows) -> Mapping[str, int]:
    """What an entry moved, in the words of its result."""
    captured = flows["held", "revenue"] + flows["available", "revenue"]
    released = sum(flows[pair] for pair in HOLD_OUT)
    ended = {"captured": captured, "absorbed": flows["absorbed", "revenue"], "released": released}
    return {
        "grant": {"amount": flows["promo", "available"]},
        "charge": {"amount": captured},
        "hold": {"amount": flows["available", "held"]},
        "extend": {"added": flows["available", "held"]},
        "capture": ended,
        "release": ended,
        "reverse": {"reversed": flows["available", "promo"], "owed": flows["debt", "promo"]},
        "adjust": {"amount": flows["adjustment", "available"] - flows["available", "adjustment"]},
    }[ask.kind]


def _is_amount_asked(ask: Ask, moved: Mapping[str, int]) -> bool:
    match ask.kind:
        case "extend":
            return ask.amount // 2 <= moved["added"] <= ask.amount
        case "capture":
            return moved["captured"] + moved["absorbed"] == ask.amount
        case "release":
            return moved["captured"] + moved["absorbed"] == 0
        case "reverse":
            return moved["reversed"] + moved["owed"] <= ask.amount
        case _:
            return moved["amount"] == ask.amount
