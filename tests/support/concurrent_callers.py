"""Callers who come at the same moment, without threads: who leads, and what is shared, is as with threads."""

from collections.abc import Sequence

from shared.kernel.ids import Uid
from shared.ledger.commands import Command
from shared.ledger.committer import Committer
from shared.ledger.lanes import Job


def together(committer: Committer, uid: Uid, batch: Sequence[Command], *, deadline: float) -> list[Job]:
    """What `Committer.execute` does for so many threads, one of which leads; all are answered."""
    jobs = [Job(command, deadline) for command in batch]
    lanes = [committer._lanes.enter(uid, job) for job in jobs]
    while waiting := [job for job in jobs if job.answer is None]:
        leaders = [job for job in waiting if job.must_lead]
        assert len(leaders) == 1, "somebody leads, and nobody else"
        committer._lanes.lead(lanes[0], leaders[0])
    assert not lanes[0].is_led
    return jobs
