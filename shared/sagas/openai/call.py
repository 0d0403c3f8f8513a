"""A call through the OpenAI routes: charged like a turn of a conversation, with the upstream's own JSON objects."""

from collections.abc import Generator

from shared.ai.models.catalogue import Catalogue
from shared.ai.models.preferences import Preferences
from shared.ai.models.tariff import Tariff
from shared.ai.openai.answers import Answers
from shared.ai.openai.kept_responses import KeptResponses
from shared.ai.openai.passthrough import Passthroughs
from shared.sagas.metering.model_choice import Chooser
from shared.sagas.metering.parts import MeteringParts
from shared.sagas.metering.running_calls import RunningCalls
from shared.sagas.metering.turn import MeteredTurn
from shared.sagas.openai.kind import CallRecovery, OpenAIKind
from shared.sagas.openai.request import CallEvent, Keeping, OpenAIAnswer, OpenAIRequest, Piece, Quiet

__all__ = ["CallEvent", "Keeping", "OpenAIAnswer", "OpenAICall", "OpenAIRequest", "Piece", "Quiet"]


class OpenAICall:
    """The saga of an OpenAI call: a metered turn of the kind `OpenAIKind`."""

    def __init__(  # noqa: PLR0913  # a saga asks for its parts by name
        self,
        metering: MeteringParts,
        *,
        catalogue: Catalogue,
        tariff: Tariff,
        preferences: Preferences,
        answers: Answers,
        responses: KeptResponses,
        passthroughs: Passthroughs,
        calls: RunningCalls,
        default_model: str,
    ) -> None:
        expectation, health = metering.expectation, metering.health
        kind = OpenAIKind(
            catalogue=catalogue,
            tariff=tariff,
            expectation=expectation,
            preferences=preferences,
            chooser=Chooser(catalogue, tariff, expectation, health, default_model=default_model),
            profiles=metering.profiles,
            passthroughs=passthroughs,
            answers=answers,
            responses=responses,
            recovery=CallRecovery(metering.ledger, answers),
        )
        self._calls = calls
        self._turn = MeteredTurn(metering, kind)

    def run(self, request: OpenAIRequest) -> Generator[CallEvent, None, None]:
        """Yield the answer as it comes, then `OpenAIAnswer`; see `MeteredTurn.run`.

        Before the first event this may also raise ModelNotFound, ModelUnpriced, NoModelFits, ContextTooLong,
        InvalidValue, AnswerNotKept, and RequestRefused with the upstream's own words.
        """
        with self._calls.running(request.uid, request.principal, request.names, request.stop):
            yield from self._turn.run(request)
