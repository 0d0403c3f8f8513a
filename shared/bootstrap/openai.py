"""Parts for calls in OpenAI's protocol."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.bootstrap.metering import MeteringServices
from shared.bootstrap.models import ModelServices
from shared.bootstrap.parts import part
from shared.bootstrap.ports import Ports
from shared.kernel.clock import Clock
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.ai.openai.answers import Answers
    from shared.ai.openai.kept_responses import KeptResponses
    from shared.ai.openai.request_fields import RequestFields
    from shared.sagas.openai.call import OpenAICall


@dataclass(eq=False)
class OpenAIServices:
    """Parts for calls in OpenAI's protocol."""

    settings: Settings
    clock: Clock
    ports: Ports
    models: ModelServices
    metering: MeteringServices

    @part
    def answers(self) -> "Answers":
        """Build the store of answers, which clients may ask for again."""
        from shared.ai.openai.answers import Answers

        return Answers(self.ports.documents(), self.clock)

    @part
    def request_fields(self) -> "RequestFields":
        """Build the table of request fields, in OpenAI's protocol, that pass to each upstream."""
        from shared.ai.openai.request_fields import RequestFields
        from shared.ai.ports import DEFAULT_UPSTREAM

        settings = self.settings
        named = {each.name: each.fields for each in settings.ai_upstreams}
        return RequestFields(
            {DEFAULT_UPSTREAM: settings.ai_platform_fields, **named},
            drops_unknown=settings.upstream_unknown_fields == "drop",
        )

    @part
    def kept_responses(self) -> "KeptResponses":
        """Build the store of responses that later requests may refer to."""
        from shared.ai.openai.kept_responses import KeptResponses

        return KeptResponses(self.ports.documents(), self.clock)

    @part
    def call(self) -> "OpenAICall":
        """Build the saga that runs one call in OpenAI's protocol and charges the cost."""
        from shared.sagas.openai.call import OpenAICall

        return OpenAICall(
            self.metering.parts,
            catalogue=self.models.catalogue,
            tariff=self.models.tariff,
            preferences=self.models.preferences,
            answers=self.answers,
            responses=self.kept_responses,
            passthroughs=self.ports.passthroughs(),
            calls=self.metering.running_calls,
            default_model=self.settings.default_model,
        )
