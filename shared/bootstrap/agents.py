"""Parts for agent tasks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.bootstrap.images import ImageParts
from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.sagas.agents.estimates import TaskEstimates
    from shared.sagas.agents.slice import AgentSlice
    from shared.sagas.agents.tasks import Agents
    from shared.sagas.agents.tools.tool import Tool


class AgentParts(ImageParts):
    """Parts for agent tasks and the agents' tools."""

    @part
    def agent_tools(self) -> "Mapping[str, Tool]":
        """Build the tools of agents, by name."""
        from shared.sagas.agents.toolbox import build_tools
        from shared.sagas.agents.tools.parts import ToolParts

        return build_tools(
            ToolParts(
                web=self.web,
                catalogue=self.catalogue,
                tariff=self.tariff,
                profiles=self.upstream_profiles,
                chat_model=self.chat_model,
                image_model=self.image_model,
                default_image_model=self.settings.default_image_model,
                preferences=self.preferences,
                images=self.images,
                objects=self.objects,
                losses=self.losses,
                clock=self.clock,
            )
        )

    @part
    def agent_slice(self) -> "AgentSlice":
        """Build the worker that runs one bounded slice of an agent task."""
        from shared.sagas.agents.slice import AgentSlice

        return AgentSlice(
            documents=self.documents,
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            thinking=self.thinking_model,
            authority=self.authority,
            end_users=self.end_users,
            tools=self.agent_tools,
            publisher=self.publisher,
            alerts=self.alerts,
            clock=self.clock,
            losses=self.losses,
        )

    @part
    def task_estimates(self) -> "TaskEstimates":
        """Build the estimates of costs of agent tasks."""
        from shared.sagas.agents.estimates import TaskEstimates

        return TaskEstimates(self.tariff, self.agent_tools.values())

    @part
    def agents(self) -> "Agents":
        """Build the service for users' agent tasks."""
        from shared.sagas.agents.tasks import Agents

        return Agents(
            documents=self.documents,
            catalogue=self.catalogue,
            preferences=self.preferences,
            slices=self.agent_slice,
            clock=self.clock,
            default_model=self.settings.default_model,
        )
