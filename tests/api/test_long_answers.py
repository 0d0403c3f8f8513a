"""Long answers through the API, with all that can be told of each token: processor time in proportion to the length."""

import time

import pytest

from shared.platform.memory.passthrough import ScriptedPassthrough, chunk, usage_chunk
from tests.api.world import MODEL, World
from tests.unit.ai.test_growing import GROWTH_MAX, TRIES_MAX, logprobs

FEW, MANY = 4_000, 16_000


def cpu_seconds(tokens, *, streams):
    script = [*map(logprobs, range(tokens)), chunk({}, finish_reason="stop"), usage_chunk(10, tokens)]
    world = World(passthrough=ScriptedPassthrough({"/chat/completions": [script]}))
    world.services.models.catalogue.put("long", {**MODEL, "context_window": 200_000, "max_output_tokens": 100_000})
    person = world.person(credits_=1_000)
    body = {"model": "long", "messages": [{"role": "user", "content": "Hi"}], "logprobs": True, "stream": streams}

    began = time.process_time()
    answer = person.post("/openai/chat/completions", body)
    said = answer.get_data(as_text=True)
    seconds = time.process_time() - began

    assert (answer.status_code, said.count('"top_logprobs"')) == (200, tokens)
    return seconds


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_answer_with_logprobs_takes_time_in_proportion_to_its_length(streams):
    growths = (cpu_seconds(MANY, streams=streams) / cpu_seconds(FEW, streams=streams) for _ in range(TRIES_MAX))

    assert any(growth < GROWTH_MAX for growth in growths)
