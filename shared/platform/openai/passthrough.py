"""OpenAI's protocol unchanged: JSON in, JSON or server-sent events out, over connections that can be aborted."""

from shared.ai.openai.passthrough import Json
from shared.platform.openai.exchange import Exchange
from shared.platform.openai.upstream import OpenAIUpstream, StreamEnd


class OpenAIPassthrough:
    """Client of one upstream that speaks OpenAI's protocol; see `Passthrough`.

    Objects are passed on as the upstream sends them; a dialect interprets them.
    """

    def __init__(self, upstream: OpenAIUpstream) -> None:
        self._upstream = upstream

    def ask(self, path: str, body: Json, end_user: str = "") -> Exchange[Json]:
        """Return the answer to `POST {path}` with this body; see `Passthrough.ask`."""
        end = StreamEnd()
        return Exchange(lambda: self._upstream.read(path, body, end_user, end), end)

    def close(self) -> None:
        """Close idle connections."""
        self._upstream.close()
