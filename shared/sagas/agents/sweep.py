"""Periodic job of agent tasks: publish the tasks again whose message was lost or whose worker died."""

from functools import partial

from shared.sagas.agents.tasks import Agents
from shared.sagas.engine.due_items import attempt_due
from shared.sagas.engine.jobs import JobRun

NAME = "agent_tasks"


class AgentJobs:
    """The periodic work for agent tasks."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def sweep(self, run: JobRun) -> None:
        """Publish a message again for each agent task whose message was lost or whose worker died."""
        old = partial(self._agents.due, is_old=True)
        attempt_due(run, NAME, [self._agents.due], lambda task, _: self._agents.tell(task.id), [old])
