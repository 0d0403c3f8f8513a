"""Prompt of a turn: the messages for a model, trimmed to the window, and the most that the turn may cost."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.ai.models.catalogue import Model
from shared.ai.models.tariff import Rate
from shared.ai.ports import PromptMessage
from shared.ai.tokens import message_expected, prompt_at_most, prompt_expected
from shared.kernel.errors import Rejected
from shared.kernel.money import Micro


class ContextTooLong(Rejected):
    """The new message and the system prompt alone do not fit into the model's window."""

    code = "context_too_long"

    def __init__(self, *, tokens: int, limit: int) -> None:
        super().__init__(f"About {tokens} tokens do not fit into {limit}.", tokens=tokens, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Messages to send, and the bounds in tokens of the input and of the answer."""

    messages: tuple[PromptMessage, ...]
    input_expected: int
    input_at_most: int
    output_at_most: int
    """Most tokens the model may generate: the least of the requested limit, the model's limit and the free window."""
    is_input_counted: bool = True
    """False if only a bound of the input is known, since we cannot count some parts as the provider does."""
    has_hidden_output: bool = False
    """True if the provider bills output that never arrives: the wrongly predicted part of a predicted answer."""

    def ceiling(self, rate: Rate) -> Micro:
        """Return the most that this prompt can cost (µcr). `estimate-cost` shows this amount.

        The output limit bounds the output. The text bounds the input: no byte-level tokenizer makes more tokens of the
        text.
        """
        return rate.bound(self.input_at_most, self.output_at_most)


def build_prompt(
    model: Model,
    *,
    system: str | None,
    history: Iterable[PromptMessage],
    content: str,
    max_output_tokens: int | None,
    needed: int | None = None,
) -> Prompt:
    """Build the prompt: system prompt, as much history as fits, new message. `history` comes newest first.

    `needed` is the expected number of tokens of system prompt and new message, None if they were not counted before.
    History leaves room for the expected answer. The new message may use that room, as long as one token remains. Raises
    ContextTooLong.
    """
    wanted = min(max_output_tokens or model.expected_output_tokens, model.max_output_tokens)
    fixed = [*([PromptMessage(role="system", content=system)] if system else [])]
    new = PromptMessage(role="user", content=content)
    if needed is None:
        needed = prompt_expected(message.content for message in [*fixed, new])
    if needed >= model.context_window:
        raise ContextTooLong(tokens=needed, limit=model.context_window)
    kept, left = _fitting(history, model.context_window - wanted - needed)
    expected = model.context_window - wanted - left
    return _measured(model, (*fixed, *kept, new), expected, max_output_tokens)


def _fitting(history: Iterable[PromptMessage], room: int) -> tuple[list[PromptMessage], int]:
    """Return the newest messages that fit, without a gap, oldest first; and the room that they leave, in tokens."""
    kept: list[PromptMessage] = []
    for message in history:
        tokens = message_expected(message.content, message.tokens)
        if tokens > room:
            break
        room -= tokens
        kept.append(message)
    return kept[::-1], room


def _measured(
    model: Model, messages: tuple[PromptMessage, ...], expected: int, max_output_tokens: int | None
) -> Prompt:
    contents = [message.content for message in messages]
    asked = min(max_output_tokens or model.max_output_tokens, model.max_output_tokens)
    return Prompt(
        messages=messages,
        input_expected=expected,
        input_at_most=min(prompt_at_most(contents), model.context_window),
        output_at_most=max(1, min(asked, model.context_window - expected)),
    )
