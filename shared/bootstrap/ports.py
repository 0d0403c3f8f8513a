"""Parts that are adapters of a port only, as the base of all other parts."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.bootstrap.parts import part
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, Publisher, TopicMessage
from shared.kernel.objects import Objects
from shared.kernel.settings import Settings
from shared.kernel.waiting import WaitingRoom

if TYPE_CHECKING:
    from shared.ai.agents.thinking import ThinkingModel
    from shared.ai.agents.web import Web
    from shared.ai.openai.passthrough import Passthroughs
    from shared.ai.ports import ChatModel, ImageModel, ModelListing
    from shared.bootstrap.adapters import Adapters
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.users.ports import DomainLists, Identity


class Ports:
    """Adapters of all ports, with the settings and the clock that every part is built from."""

    def __init__(self, settings: Settings, clock: Clock, adapters: "Adapters", **parts: object) -> None:
        self.lock = threading.RLock()
        self.settings = settings
        self.clock = clock
        self._adapters = adapters
        unknown = [name for name in parts if not isinstance(getattr(type(self), name, None), part)]
        assert not unknown, f"there are no parts {unknown}"
        self.__dict__.update(parts)

    @part
    def waiting_room(self) -> WaitingRoom:
        """Build the limit on waiting callers, one for the whole instance."""
        return WaitingRoom(self.settings.threads)

    @part
    def documents(self) -> Documents:
        """Build the database."""
        return self._adapters.documents()

    @part
    def identity(self) -> "Identity":
        """Build the port to Firebase Auth."""
        return self._adapters.identity()

    @part
    def domain_lists(self) -> "DomainLists":
        """Build the public lists of mail domains."""
        return self._adapters.domain_lists()

    @part
    def chat_model(self) -> "ChatModel":
        """Build the upstreams for chat."""
        return self._adapters.chat_model(self.alerts)

    @part
    def passthroughs(self) -> "Passthroughs":
        """Build the same upstreams for the OpenAI routes, with the upstreams' own shapes."""
        return self._adapters.passthroughs(self.alerts)

    @part
    def thinking_model(self) -> "ThinkingModel":
        """Build the upstream for agents."""
        return self._adapters.thinking_model(self.alerts)

    @part
    def web(self) -> "Web":
        """Build the port to the public web."""
        return self._adapters.web()

    @part
    def image_model(self) -> "ImageModel":
        """Build the upstream for images."""
        return self._adapters.image_model(self.alerts)

    @part
    def model_listing(self) -> "ModelListing":
        """Build the port to the providers' listings of their models."""
        return self._adapters.model_listing()

    @part
    def objects(self) -> Objects:
        """Build the storage for users' files."""
        return self._adapters.objects()

    @part
    def publisher(self) -> Publisher:
        """Build the port to Pub/Sub. The SDK is loaded at the first message only."""
        return LatePublisher(self._adapters.publisher)

    @part
    def payment_providers(self) -> "Mapping[ProviderName, PaymentProvider]":
        """Build the ports to Stripe and PayPal, each only if its keys are set."""
        return self._adapters.payment_providers(self.alerts)

    @part
    def alerts(self) -> Alerts:
        """Build the port that alerts operators."""
        return self._adapters.alerts()


class LatePublisher:
    """Publisher that is built at the first message."""

    def __init__(self, build: Callable[[], Publisher]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._built: Publisher | None = None

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        """See `Publisher.publish`."""
        with self._lock:
            self._built = self._built or self._build()
        self._built.publish(messages)
