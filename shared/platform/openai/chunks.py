"""A stream of chunks as parsed JSON: the SDK's typed ones take a tenth of a millisecond each, for fields nobody reads.

Imported with the SDK, by the first call.
"""

from collections.abc import Iterator
from contextlib import suppress

import openai
import orjson

from shared.platform.openai.network import hurry

DONE = "[DONE]"
DRAIN_SECONDS = 0.05
"""For so long what follows the answer is waited for: nearly always it is there already."""


class Chunks(openai.Stream[object]):
    """What the SDK makes of an answer that streams. Ends with the upstream's `[DONE]`, or with its connection.

    Raises the SDK's errors; ValueError for what is not JSON.
    """

    def __stream__(self) -> Iterator[object]:
        """The chunks. What is left behind them is read as well, so that the connection can serve the next call."""
        events = self._iter_events()
        try:
            for event in events:
                if event.data.startswith(DONE):
                    break
                yield self._checked(orjson.loads(event.data))
            hurry(DRAIN_SECONDS)
            with suppress(openai.OpenAIError, ValueError):
                for _ in events:
                    pass
        finally:
            self.response.close()

    def _checked(self, chunk: object) -> object:
        """Some upstreams say in the middle that they failed."""
        if isinstance(chunk, dict) and chunk.get("error"):
            raise openai.APIError("an error event in the stream", request=self.response.request, body=chunk["error"])
        return chunk
