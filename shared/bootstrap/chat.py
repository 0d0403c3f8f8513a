"""Parts for chat: turns of conversations, and calls in OpenAI's protocol."""

from typing import TYPE_CHECKING

from shared.bootstrap.models import ModelParts
from shared.bootstrap.parts import part

if TYPE_CHECKING:
    from shared.ai.chat.conversations import ConversationStore
    from shared.ai.openai.answers import Answers
    from shared.ai.openai.kept_responses import KeptResponses
    from shared.ai.openai.request_fields import RequestFields
    from shared.sagas.chat.turn import ChatTurn
    from shared.sagas.metering.claims import Turns
    from shared.sagas.metering.reading_on import ReadingOn
    from shared.sagas.metering.running_calls import RunningCalls
    from shared.sagas.metering.stop_calls import StopCalls
    from shared.sagas.metering.stop_requests import StopRequests
    from shared.sagas.openai.call import OpenAICall


class ChatParts(ModelParts):
    """Parts for calls of models that answer with text."""

    @part
    def conversations(self) -> "ConversationStore":
        """Build the store of conversations and their messages."""
        from shared.ai.chat.conversations import ConversationStore

        return ConversationStore(self.documents, self.clock)

    @part
    def stop_requests(self) -> "StopRequests":
        """Build the store of callers' requests to stop a call."""
        from shared.sagas.metering.stop_requests import StopRequests

        return StopRequests(self.documents, self.clock)

    @part
    def running_calls(self) -> "RunningCalls":
        """Build the list of calls that run on this instance."""
        from shared.kernel.watching import BrokenWatch, Watches
        from shared.sagas.metering.running_calls import RunningCalls
        from shared.sagas.metering.stop_news import StopNews

        watches = self.documents if isinstance(self.documents, Watches) else BrokenWatch()
        return RunningCalls(self.clock, StopNews(watches, self.stop_requests, self.clock))

    @part
    def turns(self) -> "Turns":
        """Build the store of turns, which clients may ask for again."""
        from shared.sagas.metering.claims import Turns

        return Turns(self.documents, self.clock, self.waiting_room)

    @part
    def reading_on(self) -> "ReadingOn":
        """Build the room for answers that are read to the end without a waiting caller."""
        from shared.sagas.metering.reading_on import ReadingOn

        return ReadingOn()

    @part
    def chat_turn(self) -> "ChatTurn":
        """Build the saga that sends one message to a model and charges the cost."""
        from shared.sagas.chat.turn import ChatTurn

        return ChatTurn(
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            conversations=self.conversations,
            preferences=self.preferences,
            chat_model=self.chat_model,
            documents=self.documents,
            clock=self.clock,
            default_model=self.settings.default_model,
            health=self.health,
            calls=self.running_calls,
            profiles=self.upstream_profiles,
            reading_on=self.reading_on,
            losses=self.losses,
            room=self.waiting_room,
        )

    @part
    def answers(self) -> "Answers":
        """Build the store of answers, which clients may ask for again."""
        from shared.ai.openai.answers import Answers

        return Answers(self.documents, self.clock)

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

        return KeptResponses(self.documents, self.clock)

    @part
    def openai_call(self) -> "OpenAICall":
        """Build the saga that runs one call in OpenAI's protocol and charges the cost."""
        from shared.ai.models.expectation import Expectation
        from shared.sagas.openai.call import OpenAICall

        return OpenAICall(
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            preferences=self.preferences,
            expectation=Expectation(self.documents, self.clock),
            answers=self.answers,
            passthroughs=self.passthroughs,
            documents=self.documents,
            clock=self.clock,
            default_model=self.settings.default_model,
            health=self.health,
            calls=self.running_calls,
            profiles=self.upstream_profiles,
            reading_on=self.reading_on,
            losses=self.losses,
            room=self.waiting_room,
        )

    @part
    def stop_calls(self) -> "StopCalls":
        """Build the service that ends calls on request."""
        from shared.sagas.metering.stop_calls import StopCalls

        return StopCalls(
            calls=self.running_calls,
            requests=self.stop_requests,
            ledger=self.ledger,
            conversations=self.conversations,
            answers=self.answers,
            clock=self.clock,
            waiting_room=self.waiting_room,
        )
