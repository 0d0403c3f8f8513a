"""Parts for agent tasks and the agents' tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.credits import CreditServices
from shared.bootstrap.images import ImageServices
from shared.bootstrap.models import ModelServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.bootstrap.users import UserServices
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.sagas.agents.estimates import TaskEstimates
    from shared.sagas.agents.slice import AgentSlice
    from shared.sagas.agents.tasks import Agents
    from shared.sagas.agents.tools.tool import Tool


@dataclass(eq=False)
class AgentServices:
    """Parts for agent tasks and the agents' tools."""

    settings: Settings
    clock: Clock
    ports: Ports
    credits: CreditServices
    users: UserServices
    models: ModelServices
    images: ImageServices

    @part
    def tools(self) -> "Mapping[str, Tool]":
        """Build the tools of agents, by name."""
        from shared.sagas.agents.toolbox import build_tools
        from shared.sagas.agents.tools.parts import ToolParts

        return build_tools(
            ToolParts(
                web=self.ports.web(),
                catalogue=self.models.catalogue,
                tariff=self.models.tariff,
                profiles=self.models.upstream_profiles,
                chat_model=self.ports.chat_model(),
                image_model=self.ports.image_model(),
                default_image_model=self.settings.default_image_model,
                preferences=self.models.preferences,
                images=self.images.store,
                objects=self.ports.objects(),
                losses=self.credits.losses,
                clock=self.clock,
            )
        )

    @part
    def slice(self) -> "AgentSlice":
        """Build the worker that runs one bounded slice of an agent task."""
        from shared.sagas.agents.slice import AgentSlice

        return AgentSlice(
            documents=self.ports.documents(),
            ledger=self.credits.ledger,
            catalogue=self.models.catalogue,
            tariff=self.models.tariff,
            thinking=self.ports.thinking_model(),
            authority=self.users.authority,
            end_users=self.users.end_users,
            tools=self.tools,
            publisher=self.ports.publisher(),
            alerts=self.ports.alerts(),
            clock=self.clock,
            losses=self.credits.losses,
        )

    @part
    def estimates(self) -> "TaskEstimates":
        """Build the estimates of costs of agent tasks."""
        from shared.sagas.agents.estimates import TaskEstimates

        return TaskEstimates(self.models.tariff, self.tools.values())

    @part
    def tasks(self) -> "Agents":
        """Build the service for users' agent tasks."""
        from shared.sagas.agents.tasks import Agents

        return Agents(
            documents=self.ports.documents(),
            catalogue=self.models.catalogue,
            preferences=self.models.preferences,
            slices=self.slice,
            clock=self.clock,
            default_model=self.settings.default_model,
        )
