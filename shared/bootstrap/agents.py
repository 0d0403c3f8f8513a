"""Parts for agent tasks."""

from typing import TYPE_CHECKING

from shared.bootstrap.images import ImageParts
from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.sagas.agents.estimates import TaskEstimates
    from shared.sagas.agents.slice import AgentSlice
    from shared.sagas.agents.tasks import Agents


class AgentParts(ImageParts):
    """Parts for agent tasks and the agents' tools."""

    @part
    def agent_slice(self) -> "AgentSlice":
        """Build the worker that runs one bounded slice of an agent task."""
        from shared.sagas.agents.slice import AgentSlice
        from shared.sagas.agents.tools.ask_model import AskModel
        from shared.sagas.agents.tools.calculator import Calculator
        from shared.sagas.agents.tools.generate_image import GenerateImage
        from shared.sagas.agents.tools.plan import PlanTool
        from shared.sagas.agents.tools.read_document import ReadDocument
        from shared.sagas.agents.tools.web_fetch import WebFetch
        from shared.sagas.agents.tools.write_artifact import WriteArtifact

        tools = (
            PlanTool(),
            Calculator(),
            WebFetch(self.web),
            ReadDocument(),
            WriteArtifact(),
            AskModel(
                self.catalogue,
                self.tariff,
                self.chat_model,
                self.clock,
                profiles=self.upstream_profiles,
                losses=self.losses,
            ),
            GenerateImage(
                catalogue=self.catalogue,
                tariff=self.tariff,
                preferences=self.preferences,
                image_model=self.image_model,
                images=self.images,
                objects=self.objects,
                clock=self.clock,
                default_model=self.settings.default_image_model,
                losses=self.losses,
            ),
        )
        return AgentSlice(
            documents=self.documents,
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            thinking=self.thinking_model,
            authority=self.authority,
            end_users=self.end_users,
            tools={tool.name: tool for tool in tools},
            publisher=self.publisher,
            alerts=self.alerts,
            clock=self.clock,
            losses=self.losses,
        )

    @part
    def task_estimates(self) -> "TaskEstimates":
        """Build the estimates of costs of agent tasks."""
        from shared.sagas.agents.estimates import TaskEstimates

        return TaskEstimates(self.tariff)

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
