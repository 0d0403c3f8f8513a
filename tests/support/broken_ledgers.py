"""Ledgers that look right, each with the one mistake that an interleaving finds: what ours is measured against.

They keep `{"balance"}` in one document, and commit on its version. Who is told what stands beside ours in `Bank`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from shared.kernel.clock import Clock
from shared.kernel.documents import (
    Create,
    Data,
    Document,
    Documents,
    OutcomeUnknown,
    PreconditionFailed,
    Put,
    StoreUnavailable,
    Version,
    Write,
)
from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, OperationId
from shared.ledger.committer import Committer
from shared.ledger.errors import Contended, HoldResolved, InsufficientCredits
from shared.ledger.lanes import CommandAnswer
from shared.ledger.ledger import Ledger
from shared.ledger.store import AccountStore, entry_path, operation_path
from tests.support import books
from tests.support.concurrent_callers import together
from tests.support.ledgers import KEYS, UID

LEDGER = "demo-naive"
ATTEMPTS_MAX = 5
PATIENCE_SECONDS = 25.0


class Bank(Protocol):
    """What a scenario asks of a ledger, ours or a naive one; refusals and failures are DomainErrors."""

    def __init__(self, documents: Documents, clock: Clock) -> None: ...

    def grant(self, amount: int, *, lifetime: int | None = None) -> None: ...

    def charge(self, key: str, amount: int) -> None: ...

    def hold(self, name: str, amount: int) -> None: ...

    def capture(self, key: str, name: str, amount: int) -> None: ...

    def at_once(self, charges: Sequence[tuple[str, int]]) -> list[DomainError | None]:
        """Charges by key and amount that share a commit: what each is told, None if it is done."""
        ...

    def balance(self) -> int:
        """What is available and what is held."""
        ...

    def plant(self) -> None:
        """Somebody else writes what only the ledger's own next commit would write."""
        ...


class Ours:
    """The real one."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents, self._clock = documents, clock
        self._ledger = Ledger(documents, clock, KEYS, ledger_id=LEDGER, hold_lifetime_seconds=900)
        self._grants = 0

    def grant(self, amount: int, *, lifetime: int | None = None) -> None:
        self._grants += 1
        expires_at = None if lifetime is None else self._clock.now() + lifetime
        self._ledger.execute(UID, books.grant(f"{id(self)}-{self._grants}", amount, expires_at=expires_at))

    def charge(self, key: str, amount: int) -> None:
        self._ledger.execute(UID, books.charge(amount, operation=key))

    def hold(self, name: str, amount: int) -> None:
        self._ledger.execute(UID, books.hold(HoldId(name), amount, operation=f"hold-{name}"))

    def capture(self, key: str, name: str, amount: int) -> None:
        self._ledger.execute(UID, books.capture(name, amount, operation=key))

    def at_once(self, charges: Sequence[tuple[str, int]]) -> list[DomainError | None]:
        committer = Committer(AccountStore(self._documents, KEYS, LEDGER), self._clock)
        batch = [books.charge(amount, operation=key) for key, amount in charges]
        jobs = together(committer, UID, batch, deadline=self._clock.monotonic() + PATIENCE_SECONDS)
        return [None if isinstance(job.answer, CommandAnswer) else job.answer for job in jobs]  # type: ignore[misc]

    def balance(self) -> int:
        assert self._ledger.verify(UID) == []
        return self._ledger.balance(UID).total

    def plant(self) -> None:
        self._documents.commit([Create(entry_path(UID, self._ledger.balance(UID).seq + 1), {"planted": True})])


class Naive:
    """Right, as long as nobody comes in between and every commit is answered: each child has one mistake more."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents, self._clock = documents, clock
        self._until: int | None = None

    def grant(self, amount: int, *, lifetime: int | None = None) -> None:
        self._until = None if lifetime is None else self._clock.now() + lifetime
        self._commit(lambda account: ({"balance": _balance(account) + amount}, []))

    def charge(self, key: str, amount: int) -> None:
        if self._documents.get(_key(key)) is None:
            self._commit(lambda account: (self._less(account, amount), [Create(_key(key), {"amount": amount})]))

    def hold(self, name: str, amount: int) -> None:
        hold = Create(f"naive/holds/all/{name}", {"amount": amount, "status": "active"})
        self._commit(lambda account: (self._less(account, 0), [hold]))

    def capture(self, key: str, name: str, amount: int) -> None:
        raise NotImplementedError

    def at_once(self, charges: Sequence[tuple[str, int]]) -> list[DomainError | None]:
        raise NotImplementedError

    def balance(self) -> int:
        return _balance(self._account())

    def plant(self) -> None:
        raise NotImplementedError

    def _account(self) -> Document | None:
        return self._documents.get("naive/account")

    def _less(self, account: Document | None, amount: int) -> Data:
        is_over = self._until is not None and self._clock.now() >= self._until
        if is_over or _balance(account) < amount:
            raise InsufficientCredits(available=_balance(account), held=0, required=amount)
        return {"balance": _balance(account) - amount}

    def _commit(self, decide: Callable[[Document | None], tuple[Data, list[Write]]]) -> None:
        """Read, decide, write, again if somebody else was faster."""
        while True:
            account = self._account()
            data, writes = decide(account)
            try:
                self._documents.commit([_account_write(account, data), *writes])
            except PreconditionFailed:
                continue
            return


class HoldsApart(Naive):
    """The hold is a document of its own, read first and written unconditionally."""

    def capture(self, key: str, name: str, amount: int) -> None:
        hold = self._documents.get(f"naive/holds/all/{name}")
        assert hold is not None
        if hold.data["status"] != "active":
            raise HoldResolved("captured")
        captured = Put(hold.path, {**hold.data, "status": "captured"})
        self._commit(lambda account: (self._less(account, amount), [captured]))


class BelievesItsRead(Naive):
    """After an unclear commit it looks once: what is not there has not happened."""

    def charge(self, key: str, amount: int) -> None:
        try:
            super().charge(key, amount)
        except OutcomeUnknown:
            if self._documents.get(_key(key)) is None:
                raise StoreUnavailable from None


class KeepsNoKey(Naive):
    """After an unclear commit it looks at the balance, and tries again if that has not moved."""

    def charge(self, key: str, amount: int) -> None:
        before = self.balance()
        while True:
            try:
                return self._commit(lambda account: (self._less(account, amount), []))
            except OutcomeUnknown:
                if self.balance() != before:
                    return None


class SendsItAgain(Naive):
    """An unclear commit is sent again as it was, as a client library does; what is there already is a conflict."""

    def charge(self, key: str, amount: int) -> None:
        account = self._account()
        writes = [_account_write(account, self._less(account, amount)), Create(_key(key), {"amount": amount})]
        for _ in range(ATTEMPTS_MAX):
            try:
                self._documents.commit(writes)
            except OutcomeUnknown:
                continue
            return
        raise OutcomeUnknown


class FencesWithTheSame(Naive):
    """Before it refuses, it writes the account as it is, so that an unclear commit lose its precondition."""

    def charge(self, key: str, amount: int) -> None:
        try:
            super().charge(key, amount)
        except OutcomeUnknown:
            account = self._account()
            if self._documents.get(_key(key)) is not None:
                return
            assert account is not None
            self._documents.commit([Put(account.path, account.data, account.version)])
            raise StoreUnavailable from None


class ComparesVersions(Naive):
    """An unclear commit has happened if the account has changed since."""

    def charge(self, key: str, amount: int) -> None:
        before = _version(self._account())
        try:
            super().charge(key, amount)
        except OutcomeUnknown:
            if _version(self._account()) == before:
                raise StoreUnavailable from None


class TakesItForItsOwn(Naive):
    """A failed precondition means that this key is done already: it was, the last time somebody looked."""

    def charge(self, key: str, amount: int) -> None:
        account = self._account()
        try:
            self._documents.commit(
                [_account_write(account, self._less(account, amount)), Create(_key(key), {"amount": amount})]
            )
        except PreconditionFailed:
            return


class TakesItForContention(Naive):
    """A failed precondition means that somebody was faster: it tries again until its time is up."""

    def charge(self, key: str, amount: int) -> None:
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while self._clock.monotonic() < until:
            account = self._account()
            number = 0 if account is None else int(str(account.data.get("entries", 0)))
            data = {**self._less(account, amount), "entries": number + 1}
            try:
                self._documents.commit([_account_write(account, data), Create(f"naive/e/all/{number + 1}", {})])
            except PreconditionFailed:
                self._clock.wait(0.1)
                continue
            return
        raise Contended(self._clock.now())

    def plant(self) -> None:
        self._documents.commit([Create("naive/e/all/1", {"planted": True})])


class CountsAttempts(Naive):
    """Gives up after so many conflicts, however quick they were."""

    def charge(self, key: str, amount: int) -> None:
        for _ in range(ATTEMPTS_MAX):
            account = self._account()
            try:
                self._documents.commit([_account_write(account, self._less(account, amount)), Create(_key(key), {})])
            except PreconditionFailed:
                continue
            return
        raise Contended(self._clock.now())


class WritesEachKey(Naive):
    """Coalesces whatever arrives: one write for the account, one for every key."""

    def at_once(self, charges: Sequence[tuple[str, int]]) -> list[DomainError | None]:
        writes: list[Write] = [Create(_key(key), {"amount": amount}) for key, amount in charges]
        total = sum(amount for _, amount in charges)
        try:
            self._commit(lambda account: (self._less(account, total), writes))
        except DomainError as error:
            return [error] * len(charges)
        return [None] * len(charges)


class RefusesFromMemory(Naive):
    """What it wrote last is what there is: enough to commit on, and, so it thinks, to refuse on."""

    _head: Any = None

    def _account(self) -> Document | None:
        return self._head or super()._account()

    def _commit(self, decide: Callable[[Document | None], tuple[Data, list[Write]]]) -> None:
        account = self._account()
        data, writes = decide(account)
        try:
            version = self._documents.commit([_account_write(account, data), *writes])[0]
        except PreconditionFailed:
            self._head = None
            return self._commit(decide)
        self._head = Document(path="naive/account", data=data, version=version)
        return None


def is_done(documents: Documents, key: str) -> bool:
    """Whether the charge of this key stands in the store, whichever ledger wrote it."""
    paths = [_key(key), operation_path(UID, OperationId(key))]
    return any(document is not None for document in documents.get_all(paths))


def _key(key: str) -> str:
    return f"naive/keys/all/{key}"


def _balance(account: Document | None) -> int:
    return 0 if account is None else int(str(account.data["balance"]))


def _version(account: Document | None) -> Version | None:
    return None if account is None else account.version


def _account_write(account: Document | None, data: Data) -> Write:
    return Create("naive/account", data) if account is None else Put("naive/account", data, account.version)
