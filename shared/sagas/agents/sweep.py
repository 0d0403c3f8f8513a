"""Periodic job of agent tasks: publish the tasks again whose message was lost or whose worker died."""

from collections.abc import Callable

from shared.ai.agents.documents import SHARDS
from shared.kernel.deadline import Deadline
from shared.kernel.ids import Uid
from shared.sagas.agents.tasks import Agents
from shared.sagas.engine.jobs import JobRun

NAME = "agent_tasks"


class AgentJobs:
    """The periodic work for agent tasks."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def sweep(self, run: JobRun) -> None:
        """Publish a message again for each agent task whose message was lost or whose worker died.

        Each run takes one page of each shard; the next run takes the rest.
        """
        first = int(run.cursor or 0)
        for shard in range(first, first + SHARDS):
            if run.is_over():
                return
            run.cursor = str(shard % SHARDS)
            for task_id, uid in self._agents.due(shard % SHARDS):
                run.attempt(NAME, uid, self._telling(task_id))
        run.cursor = "0"

    def _telling(self, task_id: str) -> Callable[[Uid, Deadline], None]:
        return lambda uid, _: self._agents.tell(task_id, uid)
