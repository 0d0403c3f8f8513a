"""The job `keys`: announces new signing keys, and seals everything again before an ending key is retired.

`ledger_log/rotation` holds the position and the counts of the pass, so that the run after a killed one begins there
and operators see the progress.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from shared.kernel.clock import MINUTE, Clock, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Create, Document, Documents, Put, Version
from shared.kernel.events import Alerts, log
from shared.kernel.ids import Uid
from shared.ledger.errors import IntegrityFailed
from shared.ledger.key_acts import KeyActs
from shared.ledger.key_registry import KeyRegistry
from shared.ledger.key_store import KEYS_PATH, KnownRegistry
from shared.ledger.resealing import RECORDS, Resealing
from shared.sagas.accounts.ledger_watch import LedgerWatch
from shared.sagas.engine.jobs import JobRun

ROTATION_PATH = "ledger_log/rotation"
LOOK_EVERY: Millis = 10 * MINUTE
"""Time between two looks at the registry while no key is ending. A fresh instance looks at once."""
STAGES = ("accounts", *RECORDS)
RESTING = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPass:
    """Pass over all accounts and records, for the ending keys `kids` with these `ends` in ms.

    `stage` and `after` are the position: the collection and the path of the last document seen there. `seen`, `moved`
    and `refused` count documents; a refused one was not written by the ledger. `failed` documents need another pass.
    """

    kids: tuple[str, ...]
    ends: tuple[Millis, ...]
    stage: str = STAGES[0]
    after: str = ""
    seen: int = 0
    moved: int = 0
    refused: int = 0
    failed: int = 0
    passes: int = 1
    is_over: bool = False

    @classmethod
    def of(cls, registry: KeyRegistry, kids: Sequence[str]) -> "RotationPass":
        """Return the pass for these ending keys before its first document."""
        due = sorted((kid, registry.end_of(kid) or 0) for kid in kids)
        return cls(kids=tuple(kid for kid, _ in due), ends=tuple(end for _, end in due))

    def counted(self, *, seen: int = 0, moved: int = 0, refused: int = 0, failed: int = 0) -> "RotationPass":
        """Return the pass with more documents counted."""
        return replace(
            self,
            seen=self.seen + seen,
            moved=self.moved + moved,
            refused=self.refused + refused,
            failed=self.failed + failed,
        )


class KeyRotation:
    """The work on the registry of public keys that nobody waits for."""

    def __init__(
        self,
        documents: Documents,
        acts: KeyActs,
        known: KnownRegistry,
        resealing: Resealing,
        watch: LedgerWatch,
        clock: Clock,
        alerts: Alerts,
    ) -> None:
        self._documents = documents
        self._acts = acts
        self._known = known
        self._resealing = resealing
        self._watch = watch
        self._clock = clock
        self._alerts = alerts

    def keys(self, run: JobRun) -> None:
        """Announce keys that the registry lacks, and work on the retirement of keys whose end has come.

        Reads nothing if this instance knows of nothing to do, and the last look was less than `LOOK_EVERY` ago. Raises
        the errors of `KeyActs`.
        """
        now = self._clock.now()
        if _is_resting(run.cursor, now) and self._known.known is not None and not self._acts.is_due(self._known.known):
            return
        run.done += self._acts.tend()
        registry = self._known.current()
        ending = [key.kid for key in registry.keys if key.status == "ending"]
        due = RotationPass.of(registry, [kid for kid in ending if _is_past(registry, kid, now)])
        run.cursor = "" if ending else f"{RESTING}:{now}"
        if due.kids:
            self._work(run, due)

    def check(self, run: JobRun) -> None:
        """Alert if the stored entries of the registry differ from the registry, or are more."""
        seq = self._acts.unlike()
        if seq is not None:
            self._alerts.alert("integrity_failed", uid=KEYS_PATH, seq=seq, rule="key_registry")
        run.done += 1

    def progress(self) -> RotationPass | None:
        """Return the last pass, over or not; None if there was none."""
        return self._stored()[0]

    # One pass ----------------------------------------------------------------------------------------------------

    def _work(self, run: JobRun, first: RotationPass) -> None:
        """Go on with the pass until the run is over, and retire the keys after a pass without failures.

        The pass begins after the end of each key, so that nothing is sealed with these keys behind the position. A pass
        for another end of the same keys does not count.
        """
        stored, version = self._stored()
        is_same = stored is not None and (stored.kids, stored.ends) == (first.kids, first.ends)
        place = stored if stored is not None and is_same else first
        while not run.is_over() and not place.is_over:
            before = place
            place = self._page(run, place)
            if place == before:
                break
            version = self._store(place, version)
        if place.is_over:
            for kid in place.kids:
                self._acts.retire(kid)
            log("keys_retired", kids=" ".join(place.kids), seen=place.seen, moved=place.moved, refused=place.refused)

    def _page(self, run: JobRun, place: RotationPass) -> RotationPass:
        """Work on the next page, and return the pass behind it. The same pass: the run is over."""
        is_accounts = place.stage == STAGES[0]
        page = self._resealing.accounts(place.after) if is_accounts else self._records(place)
        if not page:
            return _next_stage(place)
        return self._account_page(run, place, page) if is_accounts else self._record_page(run, place, page)

    def _records(self, place: RotationPass) -> list[Document]:
        return self._resealing.records(place.stage, place.after)

    def _account_page(self, run: JobRun, place: RotationPass, page: Sequence[Document]) -> RotationPass:
        uids = self._resealing.sealed_by(page, place.kids)
        is_moved: dict[Uid, bool] = {}

        def work(uid: Uid, _: Deadline) -> None:
            is_moved[uid] = self._is_resealed(uid, place.kids)

        begun = run.attempt_all("keys", uids, work)
        if begun < len(uids):
            page = page[: [each.id for each in page].index(uids[begun])]
        moved = sum(is_moved.values())
        counted = place.counted(
            seen=len(page), moved=moved, refused=len(is_moved) - moved, failed=begun - len(is_moved)
        )
        return replace(counted, after=page[-1].path) if page else counted

    def _is_resealed(self, uid: Uid, kids: Sequence[str]) -> bool:
        """Seal an account again. Return False, and act on the finding, if the ledger did not write the account."""
        try:
            self._resealing.reseal(uid, kids)
        except IntegrityFailed as failure:
            self._watch.found(uid, int(failure.params["seq"]), str(failure.params["rule"]))
            return False
        return True

    def _record_page(self, run: JobRun, place: RotationPass, page: Sequence[Document]) -> RotationPass:
        due = self._resealing.marked_by(page, place.kids)
        failures = self._resealing.mark_again(due)
        for failure in failures:
            self._watch.found(Uid(str(failure.params["uid"])), 0, str(failure.params["rule"]))
        run.done += len(due) - len(failures)
        counted = place.counted(seen=len(page), moved=len(due) - len(failures), refused=len(failures))
        return replace(counted, after=page[-1].path)

    # The stored pass ---------------------------------------------------------------------------------------------

    def _stored(self) -> tuple[RotationPass | None, Version | None]:
        document = self._documents.get(ROTATION_PATH)
        if document is None:
            return None, None
        known: Mapping[str, Any] = document.data
        told = {each.name: known[each.name] for each in fields(RotationPass) if each.name in known}
        lists = {name: tuple(known[name]) for name in ("kids", "ends")}
        return RotationPass(**{**told, **lists}), document.version

    def _store(self, place: RotationPass, version: Version | None) -> Version:
        """Store the pass. Raises PreconditionFailed if another instance works on the pass."""
        data = {**asdict(place), "kids": list(place.kids), "ends": list(place.ends), "updated_at": self._clock.now()}
        write = Create(ROTATION_PATH, data) if version is None else Put(ROTATION_PATH, data, version)
        return self._documents.commit([write])[0]


def _next_stage(place: RotationPass) -> RotationPass:
    """Return the pass at the next stage. The last stage ends a pass, or begins another one after failures."""
    number = STAGES.index(place.stage) + 1
    if number < len(STAGES):
        return replace(place, stage=STAGES[number], after="")
    if place.failed:
        return RotationPass(kids=place.kids, ends=place.ends, moved=place.moved, passes=place.passes + 1)
    return replace(place, is_over=True)


def _is_past(registry: KeyRegistry, kid: str, now: Millis) -> bool:
    end = registry.end_of(kid)
    return end is not None and end < now


def _is_resting(cursor: str, now: Millis) -> bool:
    mark, _, at = cursor.partition(":")
    return mark == RESTING and at.isdecimal() and 0 <= now - int(at) < LOOK_EVERY
