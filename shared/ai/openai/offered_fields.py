"""Table of OpenAI's request fields that may reach a provider: fields that change no price beyond our prices.

Shapes: https://platform.openai.com/docs/api-reference. A new field of OpenAI's is refused until this table decides.
"""

from collections.abc import Mapping

from shared.ai.openai.dialect import OTHER_PRICES
from shared.ai.openai.request_fields import FREE, PAIRS, PLAIN, Each, Hint, Kinds, Members, RefusedField, Shape, Words
from shared.ai.openai.wire_texts import THINKING_PARTS

AUDIO = "is not offered here: audio has no price in text tokens"
NOT_KEPT = "is not offered here: nothing is kept, send the conversation"
NOT_PRICED = "must be a text or an image_url: nothing else has a price in tokens here"
HOSTED = "must be a function: hosted tools have no price in tokens here"
CACHE_WRITES = "is not offered here: what it writes to a cache has a price of its own"
CACHE_HINT = Hint({"type": "ephemeral"})
"""Mark of Anthropic's for caching, which several clients send to all models. Longer times have another price."""


def plain(*names: str) -> dict[str, Shape]:
    """Return the shapes of fields with plain values, by name."""
    return dict.fromkeys(names, PLAIN)


def members(*names: str, **others: Shape) -> Members:
    """Return the shape of an object with these plain fields, and with others."""
    return Members({**plain(*names), **others})


def typed(problem: str, default: str | None = None, /, **kinds: Members) -> Kinds:
    """Return the shape of an object whose fields depend on `type`. `kinds` are the shapes by type; see `Kinds`."""
    return Kinds(
        "type", {kind: Members({"type": PLAIN, **each.fields}) for kind, each in kinds.items()}, default, problem
    )


SCHEMA = members("name", "description", "strict", schema=FREE)
GRAMMAR = members("definition", "syntax")
SAMPLING = plain("temperature", "top_p", "top_logprobs", "parallel_tool_calls", "service_tier", "store", "stream")
END_USER = plain("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
SIDES: Mapping[str, Shape] = {"input": members("mode"), "output": members("mode")}
SHARED: Mapping[str, Shape] = {
    **SAMPLING,
    **END_USER,
    **{name: RefusedField(reason) for name, reason in OTHER_PRICES.items()},
    "model": PLAIN,
    "metadata": PAIRS,
    "moderation": members("model", policy=Members(SIDES)),
    "prompt_cache_options": RefusedField(CACHE_WRITES),
}
"""Fields of chat completions and of responses."""

# Chat completions ----------------------------------------------------------------------------------------------------

MARKS: Mapping[str, Shape] = {"prompt_cache_breakpoint": RefusedField(CACHE_WRITES), "cache_control": CACHE_HINT}
TEXT_PART = Members({"text": PLAIN, **MARKS})
IMAGE_PART = Members({"image_url": members("url", "detail"), **MARKS})
TEXTS = Each(typed(NOT_PRICED, text=TEXT_PART))
THOUGHTS: Mapping[str, Members] = dict.fromkeys(
    THINKING_PARTS, members("text", "signature", "closed", "id", thinking=Each(typed(NOT_PRICED, text=TEXT_PART)))
)
"""Parts of an answer in which a provider thought. Clients send these parts back as history, and they count as input."""
NO_FILE_ID = RefusedField("is not offered here: no files are kept, send file_data")
FILE_PART = Members({"file": members("filename", "file_data", file_id=NO_FILE_ID), **MARKS})
ECHOED = ("role", "content", "refusal", "annotations", "audio", "function_call", "tool_calls")
THOUGHT_ALOUD = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
ECHOES: Mapping[str, Shape] = dict.fromkeys((*ECHOED, *THOUGHT_ALOUD), Hint())
"""Members of an assistant's message, which OpenAI's Agents SDK for Node repeats in the message's text part."""
SAID = Members({**ECHOES, **TEXT_PART.fields})
REFUSAL = Members({**ECHOES, "refusal": PLAIN})
SEEN = Each(typed(NOT_PRICED, text=SAID, image_url=IMAGE_PART, refusal=REFUSAL, file=FILE_PART, **THOUGHTS))
"""Parts of a message. Some providers take images from tools, too."""
PARSED: Mapping[str, Shape] = {"parsed": Hint(), "parsed_arguments": Hint()}
"""Members that OpenAI's SDK for Node adds to an answer when it parses one. Clients send the answer back with them."""
CALLED = typed(
    "must be a call of a function or of a custom tool",
    "function",
    function=members(
        "id",
        "index",
        function=members("name", "arguments", **PARSED),
        extra_content=members(google=members("thought_signature")),
    ),
    custom=members("id", "index", custom=members("name", "input")),
)
"""Call of a tool, with the thought signature that Gemini wants back."""
THOUGHT = members("id", "type", "text", "summary", "data", "signature", "format", "index")
OF_ALL: Mapping[str, Shape] = {**plain("role", "name"), "content": SEEN, "cache_control": CACHE_HINT}
MESSAGE = Kinds(
    "role",
    {
        "user": Members(OF_ALL),
        "system": Members(OF_ALL),
        "developer": Members(OF_ALL),
        "function": Members(OF_ALL),
        "tool": Members({**OF_ALL, "tool_call_id": PLAIN}),
        "assistant": Members(
            {
                **OF_ALL,
                **PARSED,
                **plain("refusal", "reasoning_content", "reasoning"),
                "reasoning_details": Each(THOUGHT),
                "thinking_blocks": Each(members("type", "thinking", "signature", "data")),
                "annotations": FREE,
                "audio": RefusedField(AUDIO),
                "function_call": members("name", "arguments"),
                "tool_calls": Each(CALLED),
            }
        ),
    },
    "user",
    "must have the role of a user, system, developer, assistant or tool",
)
"""Shape of a message. An assistant's message may bring back the provider's reasoning, which counts as input text."""
FUNCTION = members("name", "description", "strict", parameters=FREE)
NAMED = members("name")
CHAT_TOOL = typed(
    HOSTED,
    "function",
    function=Members({"function": FUNCTION, "cache_control": CACHE_HINT}),
    custom=members(
        custom=members(
            "name",
            "description",
            format=typed("must be text or grammar", text=members(), grammar=members(grammar=GRAMMAR)),
        )
    ),
)
CHAT_TOOL_NAMED = typed(HOSTED, "function", function=members(function=NAMED), custom=members(custom=NAMED))
CHAT = Members(
    {
        **SHARED,
        **plain("frequency_penalty", "presence_penalty", "logprobs", "n", "seed", "stop", "modalities"),
        **plain("max_completion_tokens", "max_tokens", "reasoning_effort", "verbosity"),
        "logit_bias": PAIRS,
        "audio": RefusedField(AUDIO),
        "messages": Each(MESSAGE),
        "stream_options": members("include_usage", "include_obfuscation"),
        "prediction": typed("must be content", content=Members({"content": TEXTS})),
        "response_format": typed(
            "must be text, json_object or json_schema",
            text=members(),
            json_object=members(),
            json_schema=members(json_schema=SCHEMA),
        ),
        "tools": Each(CHAT_TOOL),
        "tool_choice": typed(
            HOSTED,
            function=members(function=NAMED),
            custom=members(custom=NAMED),
            allowed_tools=members(allowed_tools=members("mode", tools=Each(CHAT_TOOL_NAMED))),
        ),
        "functions": Each(members("name", "description", parameters=FREE)),
        "function_call": NAMED,
    }
)

# Responses -----------------------------------------------------------------------------------------------------------

BREAK: Mapping[str, Shape] = {"prompt_cache_breakpoint": RefusedField(CACHE_WRITES)}
INPUT_TEXT = Members({"text": PLAIN, **BREAK})
PART = typed(
    NOT_PRICED,
    input_text=INPUT_TEXT,
    output_text=members("text", annotations=FREE, logprobs=FREE, **PARSED),
    text=INPUT_TEXT,
    refusal=members("refusal"),
    summary_text=members("text"),
    reasoning_text=members("text"),
    input_file=members("filename", "file_data", file_id=NO_FILE_ID, **BREAK),
    input_image=Members(
        {**plain("image_url", "detail"), "file_id": RefusedField("is not offered here: no files are kept"), **BREAK}
    ),
)
PARTS = Each(PART)
CALLER = members("type", "caller_id")
ITEM = typed(
    "must be a message, a call of a function, its output, or reasoning",
    "message",
    message=members("id", "role", "status", "phase", content=PARTS),
    function_call=members(
        *("id", "call_id", "name", "namespace", "arguments", "status", "async"), caller=CALLER, **PARSED
    ),
    function_call_output=members("id", "call_id", "name", "namespace", "status", output=PARTS, caller=CALLER),
    custom_tool_call=members("id", "call_id", "name", "namespace", "input", "status", "async", caller=CALLER),
    custom_tool_call_output=members("id", "call_id", "status", output=PARTS, caller=CALLER),
    reasoning=members("id", "encrypted_content", "status", content=PARTS, summary=PARTS),
)
CALLERS = RefusedField("is not offered here: programs of the provider have no price in tokens")
RESPONSE_FUNCTION = Members(
    {**FUNCTION.fields, **plain("async", "defer_loading"), "output_schema": FREE, "allowed_callers": CALLERS}
)
RESPONSE_CUSTOM = Members(
    {
        **plain("name", "description", "async", "defer_loading"),
        "format": typed("must be text or grammar", text=members(), grammar=GRAMMAR),
        "allowed_callers": CALLERS,
    }
)
RESPONSE_TOOL_NAMED = typed(HOSTED, function=NAMED, custom=NAMED)
RESPONSES = Members(
    {
        **SHARED,
        **plain("instructions", "max_output_tokens", "max_tool_calls", "truncation", "include"),
        "previous_response_id": PLAIN,
        "conversation": RefusedField(NOT_KEPT),
        "prompt": RefusedField("is not offered here: nothing is kept, send the prompt"),
        "background": RefusedField("is not offered here"),
        "context_management": RefusedField(
            "is not offered here: what compacts a conversation has no price of its own here"
        ),
        "client_metadata": Hint(),
        "input": Each(ITEM),
        "reasoning": Members(
            {**plain("effort", "summary", "generate_summary", "context"), "mode": Words(frozenset({"standard"}))}
        ),
        "stream_options": members("include_obfuscation"),
        "text": members(
            "verbosity",
            format=typed(
                "must be text, json_object or json_schema",
                text=members(),
                json_object=members(),
                json_schema=SCHEMA,
            ),
        ),
        "tools": Each(typed(HOSTED, "function", function=RESPONSE_FUNCTION, custom=RESPONSE_CUSTOM)),
        "tool_choice": typed(
            HOSTED,
            function=NAMED,
            custom=NAMED,
            allowed_tools=members("mode", tools=Each(RESPONSE_TOOL_NAMED)),
        ),
    }
)

# Embeddings and images -----------------------------------------------------------------------------------------------

EMBEDDINGS = members("input", "model", "encoding_format", "dimensions", "user")
IMAGES = Members(
    {
        **plain("prompt", "model", "n", "quality", "response_format", "output_format", "size", "moderation"),
        **plain("background", "user", "safety_identifier"),
        "output_compression": RefusedField("is not offered here: pictures are kept as PNG"),
        "stream": RefusedField("is not offered here"),
        "partial_images": RefusedField("is not offered here"),
        "style": RefusedField("is not offered here"),
    }
)

COMPLETIONS = Members(
    {
        **plain(
            "model", "prompt", "suffix", "max_tokens", "temperature", "top_p", "n", "stream", "stop", "seed", "user"
        ),
        **plain("presence_penalty", "frequency_penalty", "echo", "best_of", "logprobs"),
        "logit_bias": PAIRS,
        "stream_options": members("include_usage", "include_obfuscation"),
    }
)
"""Fields of text completions. The dialect refuses some of these fields unless they have their defaults."""

OFFERED: Mapping[str, Members] = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
    "/images/generations": IMAGES,
}
"""Table of the offered fields of each endpoint, by OpenAI's path."""
