"""Several upstreams as one. A model's document names the upstream that has the model."""

from collections.abc import Mapping

from shared.ai.ports import ChatModel, ChatRequest, ChatStream, UpstreamUnavailable
from shared.kernel.events import log


class Upstreams:
    """Chat model that forwards each request to the upstream that the model's document names; see `ChatModel`."""

    def __init__(self, by_name: Mapping[str, ChatModel]) -> None:
        self._by_name = by_name

    def stream(self, request: ChatRequest) -> ChatStream:
        """Return the answer to `request`; see `ChatModel.stream`.

        Raises UpstreamUnavailable for an upstream that is not set up here.
        """
        chat_model = self._by_name.get(request.upstream)
        if chat_model is None:
            log("upstream_not_set_up", "ERROR", upstream=request.upstream, model=request.model)
            raise UpstreamUnavailable("This model's provider is not set up here.")
        return chat_model.stream(request)
