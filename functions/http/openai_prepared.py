"""Requests as real clients send them, made ready for a dialect: references resolved, foreign shapes rewritten."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.http.openai_fields import upstream_of
from functions.http.routes import Call
from shared.ai.models.catalogue import ModelNotFound, ModelUnpriced
from shared.ai.openai.anthropic_parts import in_openais_shapes
from shared.ai.openai.completions import ChatCompletions
from shared.ai.openai.dialect import Dialect
from shared.ai.openai.kept_responses import request_items
from shared.ai.openai.passthrough import Json
from shared.ai.openai.prompt_files import FILES, without_earlier_files
from shared.ai.openai.response_tools import adapted_tools
from shared.ai.openai.responses import Responses
from shared.ai.openai.text_completions import PATH as COMPLETIONS_PATH
from shared.ai.openai.text_completions import TextCompletions
from shared.kernel.ids import derived_id
from shared.sagas.openai.call import Keeping

CHAT_COMPLETIONS = ChatCompletions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """A request for a dialect. `path` names the table of its fields; `left_out` names parts that are not sent on."""

    dialect: Dialect
    path: str
    body: Json
    left_out: Sequence[str] = ()
    keeping: Keeping | None = None


def prepared_plainly(call: Call, dialect: Dialect) -> PreparedRequest:
    """Return a request that needs no rewriting, ready for the upstream."""
    return PreparedRequest(dialect=dialect, path=dialect.path, body=call.body)


def prepared_chat(call: Call) -> PreparedRequest:
    """Return a chat completion ready for the upstream. Tool calls and results in Anthropic's parts become OpenAI's."""
    body, left_out = _with_files_it_takes(call, in_openais_shapes(call.body), "messages")
    return PreparedRequest(dialect=CHAT_COMPLETIONS, path=CHAT_COMPLETIONS.path, body=body, left_out=left_out)


def _with_files_it_takes(call: Call, body: Json, name: str) -> tuple[Json, Sequence[str]]:
    """Return the body without files of earlier messages if the model takes none, and the places of those files."""
    try:
        model = call.services.models.catalogue.get(str(call.body["model"]))
    except (ModelNotFound, ModelUnpriced):
        return body, ()
    if FILES in model.capabilities:
        return body, ()
    messages, places = without_earlier_files(body.get(name))
    return ({**body, name: messages} if places else body), [f"{name}.{place}" for place in places]


def prepared_completion(call: Call) -> PreparedRequest:
    """Return a text completion ready for the upstream.

    A provider that knows no text completions is asked for a chat completion.
    """
    upstream = upstream_of(call)
    is_direct = upstream is not None and call.services.models.upstream_profiles.of(upstream).knows_completions
    return PreparedRequest(dialect=TextCompletions(is_direct=is_direct), path=COMPLETIONS_PATH, body=call.body)


def prepared_response(call: Call) -> PreparedRequest:
    """Return a response ready for the upstream, with the caller's stored items in place of references to them.

    The items count as input. Raises PreviousResponseNotFound, ItemNotFound, InvalidValue.
    """
    resolved = call.services.openai.kept_responses.resolved(call.uid, call.body)
    resolved, left_out = _with_files_it_takes(call, resolved, "input")
    drops_hosted = call.services.settings.upstream_hosted_tools == "drop"
    adapted = adapted_tools(resolved, drops_hosted=drops_hosted)
    is_kept = call.body.get("store") is not False
    previous = call.body.get("previous_response_id") or None
    keeping = Keeping(input=request_items(call.body), previous_id=previous) if is_kept else None
    fallback_id = derived_id("resp", call.asked.operation)
    dialect = Responses(names=adapted.names, is_kept=is_kept, previous_id=previous, fallback_id=fallback_id)
    return PreparedRequest(
        dialect=dialect, path=dialect.path, body=adapted.body, left_out=(*left_out, *adapted.left_out), keeping=keeping
    )
