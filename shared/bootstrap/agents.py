"""Parts for agent tasks."""

from typing import TYPE_CHECKING

from shared.bootstrap.images import ImageParts
from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.sagas.agent_slice import AgentSlice
    from shared.sagas.agents import Agents
    from shared.sagas.estimates import Estimates


class AgentParts(ImageParts):
    """Parts for agent tasks and the agents' tools."""

    @part
    def agent_slice(self) -> "AgentSlice":
        """Build the worker that runs one bounded slice of an agent task."""
        from shared.sagas.agent_slice import AgentSlice
        from shared.sagas.tools.ask_model import AskModel
        from shared.sagas.tools.calculator import Calculator
        from shared.sagas.tools.generate_image import GenerateImage
        from shared.sagas.tools.plan import Plan
        from shared.sagas.tools.read_document import ReadDocument
        from shared.sagas.tools.web_fetch import WebFetch
        from shared.sagas.tools.write_artifact import WriteArtifact

        tools = (
            Plan(),
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
    def estimates(self) -> "Estimates":
        """Build the estimates of costs of pictures and agent tasks."""
        from shared.sagas.estimates import Estimates

        return Estimates(
            self.catalogue, self.tariff, self.preferences, default_painter=self.settings.default_image_model
        )

    @part
    def agents(self) -> "Agents":
        """Build the service for users' agent tasks."""
        from shared.sagas.agents import Agents

        return Agents(
            documents=self.documents,
            catalogue=self.catalogue,
            preferences=self.preferences,
            slices=self.agent_slice,
            clock=self.clock,
            default_model=self.settings.default_model,
        )
