"""Try to break a call through the OpenAI routes by acts while the model is speaking.

Method: the act runs between two chunks, then the same key is sent again, and the books are checked.
"""

from collections.abc import Generator, Sequence
from contextlib import suppress

import pytest

from shared.kernel.errors import DomainError
from shared.platform.memory.passthrough import chunk, usage_chunk
from shared.sagas.openai.call import CallEvent, OpenAIAnswer
from tests.support.chat import CREDIT
from tests.support.interruptions import INTERRUPTIONS, settled
from tests.support.openai import OpenAIBackend
from tests.support.processes import wait_for

WORDS = 30


def spoken(choices: int) -> OpenAIBackend:
    """Ann with a credit, and a model that says thirty words, in so many answers side by side."""
    words = [chunk({"content": " word"}, index=at % choices) for at in range(WORDS)]
    backend = OpenAIBackend(*words, chunk({}, finish_reason="stop"), usage_chunk(5, WORDS))
    backend.world.user(CREDIT)
    return backend


def told(backend: OpenAIBackend, choices: int) -> Sequence[CallEvent] | str:
    """All that a caller with the same key hears."""
    try:
        return list(backend.run(key="the same", n=choices))
    except DomainError as error:
        return error.code


@pytest.mark.parametrize("choices", [1, 3])
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
@pytest.mark.parametrize("heard", [1, 7, WORDS - 1])
@pytest.mark.parametrize("act", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
def test_whatever_happens_meanwhile_the_books_are_right_and_the_same_key_says_the_same(act, heard, leaves, choices):
    backend = spoken(choices)
    events = backend.run(key="the same", n=choices)
    for _ in range(heard):
        next(events)

    act(backend.world)
    if leaves:
        events.close()
    with suppress(DomainError):
        list(events)
    backend.world.read_on()
    charges = backend.world.charges()

    again = [told(backend, choices) for _ in range(2)]
    assert again[0] == again[1]
    assert backend.world.charges() == charges
    assert 0 <= sum(charges) <= CREDIT
    assert len(backend.upstream.requests) == 1
    settled(backend.world)


def leave_after_the_report(backend: OpenAIBackend, events: Generator[CallEvent, None, None]) -> None:
    """Leave once the model has reported its usage, which decides about the price."""
    wait_for(lambda: backend.upstream.streams[0].is_finished)
    events.close()


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
@pytest.mark.parametrize("change", ["the model is a thousand times dearer", "the model is switched off"])
def test_what_the_model_becomes_meanwhile_is_for_the_next_call(change, leaves):
    plain, changed = spoken(1), spoken(1)
    costs = []
    for backend in (plain, changed):
        events = backend.run()
        for _ in range(10):
            next(events)
        if backend is changed:
            INTERRUPTIONS[change](backend.world)
        if leaves:
            leave_after_the_report(backend, events)
        else:
            assert isinstance(list(events)[-1], OpenAIAnswer)
        costs.append(backend.world.charges())

    assert costs[0] == costs[1]
    assert costs[0][0] > 0
    settled(changed.world)
