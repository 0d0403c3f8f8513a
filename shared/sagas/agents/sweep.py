"""Periodic job of agent tasks: publish the tasks again whose message was lost or whose worker died."""

from functools import partial

from shared.ai.agents.documents import SHARDS
from shared.sagas.agents.tasks import Agents
from shared.sagas.engine.jobs import JobRun, PeriodicJob

NAME = "agent_tasks"
SWEEP_SECONDS = 60.0


class AgentJobs:
    """Jobs of `every_minute` for agent tasks."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def every_minute(self) -> tuple[PeriodicJob, ...]:
        """Return the job that publishes due tasks again."""
        return (PeriodicJob(name=NAME, seconds=SWEEP_SECONDS, run=self.sweep),)

    def sweep(self, run: JobRun) -> None:
        """Publish the message of agent tasks whose message was lost or whose worker died.

        Shard by shard, one page of each shard; the next minute takes the rest.
        """
        first = int(run.cursor or 0)
        for shard in range(first, first + SHARDS):
            if run.is_over():
                return
            run.cursor = str(shard % SHARDS)
            for task_id, uid in self._agents.due(shard % SHARDS):
                run.attempt(NAME, uid, partial(self._agents.tell, task_id))
        run.cursor = "0"
