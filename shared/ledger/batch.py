"""Plan of one batch: the commands that share the next commit, and the answers or waits of the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from shared.kernel.clock import Millis
from shared.kernel.documents import Delete, Write
from shared.kernel.errors import DomainError, IdempotencyMismatch
from shared.kernel.ids import OperationId
from shared.ledger.account import Account, Archive
from shared.ledger.commands import Command, Expire
from shared.ledger.decide import Decision, decide, decide_expiry
from shared.ledger.errors import IntegrityFailed
from shared.ledger.expiry import MuchIsDue
from shared.ledger.heads import Head, Snapshot
from shared.ledger.lanes import CommandAnswer, Job
from shared.ledger.operation_records import OperationRecord, facts_of
from shared.ledger.receipts import Receipt
from shared.ledger.rest import RestNotRead

BATCH_WRITES_MAX = 400
BATCH_BYTES_MAX = 4_000_000
REST_LOTS = 8
"""Number of lots of the rest that are read at first for a command that needs some."""


@dataclass(slots=True, eq=False, repr=False)
class Batch:
    """Decided batch of jobs: the jobs in the commit, and the jobs that wait for another round."""

    snapshot: Snapshot
    now: Millis
    kid: str
    archive: Archive
    """Archived lots and holds that the commands may name, with those that the accepted commands archive."""
    accepted: list[tuple[Job, Decision[Receipt]]] = field(default_factory=list)
    """Jobs in the commit with their decisions, in order. Each decision builds on the one before."""
    by_operation: dict[OperationId, Job] = field(default_factory=dict)
    """Accepted jobs by operation, to find twins."""
    twins: list[tuple[Job, Job]] = field(default_factory=list)
    """Jobs with the operation of an accepted job, each with that accepted job."""
    expiry: Decision[Receipt] | None = None
    """First expiries of an account with more due than one commit ends, as the commit's only part; else None."""
    behind: list[Job] = field(default_factory=list)
    """Jobs that wait for the commit of `expiry`."""
    kept: list[Job] = field(default_factory=list)
    """Jobs that wait for another round."""
    rejected: list[tuple[Job, DomainError]] = field(default_factory=list)
    """Jobs that a fresh state refuses, with their refusals."""
    extra_writes: list[Write] = field(default_factory=list)
    """Writes of the accepted jobs' callers."""
    writes: int = 3
    """Number of writes in the commit, at most: the account's two documents, the marker, and the accepted jobs'."""
    bytes: int = 0
    """Approximate size of the commit's entries, operations and extra writes."""

    @property
    def is_truth(self) -> bool:
        """True if the state was just read and no command is accepted yet, so that a refusal of the next command
        is final.
        """
        return self.snapshot.is_fresh and not self.accepted

    def everyone(self) -> list[Job]:
        """Return all jobs that depend on the commit. The jobs of `kept` do not depend on it."""
        return [*self.behind, *(job for job, _ in (*self.accepted, *self.twins, *self.rejected))]

    def decisions(self) -> list[tuple[Command, Decision[Receipt]]]:
        """Return the commands of the commit with their decisions: the expiry alone, or the accepted commands."""
        if self.expiry is not None:
            return [(Expire(), self.expiry)]
        return [(job.command, decision) for job, decision in self.accepted]

    @property
    def head(self) -> Head:
        """Head that the commit builds on."""
        return self.snapshot.head

    @property
    def account(self) -> Account:
        """Account after all accepted commands, or after the expiries."""
        if self.expiry is not None:
            return self.expiry.account
        return self.accepted[-1][1].account if self.accepted else self.head.account

    def add(self, job: Job) -> None:
        """Decide on one more job: set the job's answer, or add the job to `accepted`, `twins`, `kept` or `rejected`."""
        record = self.snapshot.operations.get(job.command.operation)
        twin = self.by_operation.get(job.command.operation)
        if record is not None:
            job.tell(replayed(job, record))
        elif twin is not None:
            self.twins.append((job, twin))
        elif self.expiry is not None:
            self.behind.append(job)
        else:
            self._decide(job)

    def _decide(self, job: Job) -> None:
        """Decide on a job that is no replay. If the commit is full, keep the job."""
        if self.writes >= BATCH_WRITES_MAX or self.bytes >= BATCH_BYTES_MAX:
            self.kept.append(job)
            return
        try:
            decision = self._decided(job)
            extra = job.extra_writes(decision.receipt) if job.extra_writes else ()
        except RestNotRead:
            self._keep_for_the_rest(job)
        except MuchIsDue:
            self._expire_before(job)
        except DomainError as error:
            self._reject(job, error)
        except Exception as error:  # noqa: BLE001  a law is broken by this one command: it must not poison the others
            job.tell(error)
        else:
            self._accept(job, decision, extra)

    def _decided(self, job: Job) -> Decision[Receipt]:
        """Decide on the job's commands, each on the account after the one before. Raises the errors of `decide`."""
        decide_on = partial(decide, now=self.now, kid=self.kid, salt=job.salt)
        decision: Decision[Receipt] = decide_on(self.account, job.command, archive=self.archive)
        for command in job.beside:
            after = decide_on(decision.account, command, archive=decision.next_archive)
            decision = replace(
                after,
                entries=(*decision.entries, *after.entries),
                archive=replace(
                    after.archive,
                    lots={**decision.archive.lots, **after.archive.lots},
                    holds={**decision.archive.holds, **after.archive.holds},
                ),
                receipt=decision.receipt,
                notes=(*decision.notes, *after.notes),
            )
        return decision

    def _expire_before(self, job: Job) -> None:
        """Let the commit hold the first expiries alone. The job is decided again behind them."""
        if self.accepted or self.rejected:
            self.kept.append(job)
            return
        self.expiry = decide_expiry(self.account, self.now, kid=self.kid, archive=self.archive)
        self.behind.append(job)

    def _reject(self, job: Job, error: DomainError) -> None:
        """Reject the job if the decision rests on a fresh state, else keep the job for a read."""
        if self.is_truth:
            self.rejected.append((job, error))
        else:
            self._keep_for_a_read(job)

    def _accept(self, job: Job, decision: Decision[Receipt], extra: Sequence[Write]) -> None:
        if not decision.entries and not job.command.operation:
            self._nothing_to_do(job, decision)
            return
        writes = len(decision.entries) + len(decision.archive.lots) + len(decision.archive.holds) + 2 + len(extra)
        if self.accepted and (self.writes + writes > BATCH_WRITES_MAX or self._is_taken(extra)):
            self.kept.append(job)
            return
        self.accepted.append((job, decision))
        self.extra_writes += extra
        if job.command.operation:
            self.by_operation[job.command.operation] = job
        self.archive = decision.next_archive
        self.writes += writes
        self.bytes += sum(len(entry.body) for entry in decision.entries) + 1_000 + _size(extra)

    def _is_taken(self, extra: Sequence[Write]) -> bool:
        """Return True if the commit already writes one of these documents."""
        return not {write.path for write in extra}.isdisjoint(write.path for write in self.extra_writes)

    def _nothing_to_do(self, job: Job, decision: Decision[Receipt]) -> None:
        """Answer a job without effect if the decision rests on a fresh state, else keep the job for a read.

        "Nothing is due" is true only once the state is stored, and not only in this batch.
        """
        if self.is_truth:
            job.tell(CommandAnswer(receipt=decision.receipt, is_replay=False))
        else:
            self._keep_for_a_read(job)

    def _keep_for_the_rest(self, job: Job) -> None:
        """Keep the job for a read with more lots of the rest. If all were read, the store lacks some of the lots."""
        if self.is_truth and self.archive.is_whole:
            job.tell(IntegrityFailed(uid=self.account.uid, seq=self.account.seq, rule="rest"))
            return
        if self.is_truth:
            job.rest_lots *= 4
        job.rest_lots = max(job.rest_lots, REST_LOTS)
        self._keep_for_a_read(job)

    def _keep_for_a_read(self, job: Job) -> None:
        job.needs_read = True
        self.kept.append(job)


def decide_batch(snapshot: Snapshot, jobs: Sequence[Job], now: Millis, kid: str) -> Batch:
    """Decide on the jobs in order, at the time `now` (ms), and return the batch. `kid` names the signing key."""
    batch = Batch(snapshot=snapshot, now=now, kid=kid, archive=snapshot.archive)
    for job in jobs:
        batch.add(job)
    return batch


def _size(extra: Sequence[Write]) -> int:
    """Return the approximate size of the writes in bytes. Only texts are measured."""
    values = [value for write in extra if not isinstance(write, Delete) for value in write.data.values()]
    return sum(len(value) for value in values if isinstance(value, str)) + 1_000 * len(extra)


def replayed(job: Job, record: OperationRecord) -> CommandAnswer[Receipt] | DomainError:
    """Return the answer to a job whose operation was already done.

    The answer is IdempotencyMismatch if the operation was done for another request.
    """
    receipt = record.receipt_for(job.command)
    if receipt is None:
        return IdempotencyMismatch()
    return CommandAnswer(receipt=receipt, is_replay=record.nonce not in job.nonces)


def twin_record(twin: Job, decision: Decision[Receipt]) -> OperationRecord:
    """Return the record of a command in this batch, for the other jobs with the same operation."""
    return OperationRecord(fingerprint=twin.command.fingerprint, facts=facts_of(decision.receipt), nonce="")
