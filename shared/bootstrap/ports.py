"""The parts that are nothing but an adapter: what all the others stand on."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.bootstrap.parts import part
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, Message, Publisher
from shared.kernel.objects import Objects
from shared.kernel.settings import Settings
from shared.kernel.waiting import WaitingRoom

if TYPE_CHECKING:
    from shared.ai.passthrough import Passthroughs
    from shared.ai.ports import ChatModel, ImageModel, ModelListing
    from shared.ai.thinking import ThinkingModel
    from shared.ai.web import Web
    from shared.bootstrap.adapters import Adapters
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.users.ports import DomainLists, Identity


class Ports:
    """The ports, filled; and what every part is built from."""

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
        """Room for callers who wait, one for all of an instance."""
        return WaitingRoom(self.settings.threads)

    @part
    def documents(self) -> Documents:
        """The database."""
        return self._adapters.documents()

    @part
    def identity(self) -> "Identity":
        """Firebase Auth."""
        return self._adapters.identity()

    @part
    def domain_lists(self) -> "DomainLists":
        """What is known of mail domains."""
        return self._adapters.domain_lists()

    @part
    def chat_model(self) -> "ChatModel":
        """The models' upstream."""
        return self._adapters.chat_model(self.alerts)

    @part
    def passthroughs(self) -> "Passthroughs":
        """The same upstreams, with their own shapes."""
        return self._adapters.passthroughs(self.alerts)

    @part
    def thinking_model(self) -> "ThinkingModel":
        """The upstream of agents."""
        return self._adapters.thinking_model(self.alerts)

    @part
    def web(self) -> "Web":
        """The public web."""
        return self._adapters.web()

    @part
    def image_model(self) -> "ImageModel":
        """The upstream that paints."""
        return self._adapters.image_model(self.alerts)

    @part
    def model_listing(self) -> "ModelListing":
        """What providers list of their models."""
        return self._adapters.model_listing()

    @part
    def objects(self) -> Objects:
        """Users' files."""
        return self._adapters.objects()

    @part
    def publisher(self) -> Publisher:
        """Pub/Sub; its SDK is loaded when something is first published."""
        return LatePublisher(self._adapters.publisher)

    @part
    def payment_providers(self) -> "Mapping[ProviderName, PaymentProvider]":
        """Stripe and PayPal, as far as their keys are set."""
        return self._adapters.payment_providers(self.alerts)

    @part
    def alerts(self) -> Alerts:
        """How operators are told."""
        return self._adapters.alerts()


class LatePublisher:
    """A publisher that is built when something is first published."""

    def __init__(self, build: Callable[[], Publisher]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._built: Publisher | None = None

    def publish(self, messages: Sequence[Message]) -> None:
        """See `Publisher.publish`."""
        with self._lock:
            self._built = self._built or self._build()
        self._built.publish(messages)
