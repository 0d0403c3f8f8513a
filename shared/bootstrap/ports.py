"""Ports of the backend: one factory for each, in each set of adapters."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, Publisher, TopicMessage
from shared.kernel.objects import Objects

if TYPE_CHECKING:
    from shared.ai.agents.thinking import ThinkingModel
    from shared.ai.agents.web import Web
    from shared.ai.openai.passthrough import Passthroughs
    from shared.ai.ports import ChatModel, ImageModel, ModelListing
    from shared.ledger.log.notes import NoteSigner
    from shared.ledger.log.witnesses import WitnessCalls
    from shared.payments.chains.address_book import Derivation
    from shared.payments.chains.ports import Chain, NetworkName
    from shared.payments.chains.prices import PriceSource
    from shared.payments.facilitator import Facilitator
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.users.ports import DomainLists, Identity

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Factories of the adapters. Each factory builds the adapter at its first call, and returns the same one later."""

    documents: Callable[[], Documents]
    """Database."""
    identity: "Callable[[], Identity]"
    """Identity provider, where users sign in."""
    domain_lists: "Callable[[], DomainLists]"
    """Public lists of mail domains."""
    chat_model: "Callable[[], ChatModel]"
    """Upstreams for chat."""
    passthroughs: "Callable[[], Passthroughs]"
    """The same upstreams for the OpenAI routes, with the upstreams' own shapes."""
    thinking_model: "Callable[[], ThinkingModel]"
    """Upstream for agents."""
    web: "Callable[[], Web]"
    """Public web."""
    image_model: "Callable[[], ImageModel]"
    """Upstream for images."""
    model_listing: "Callable[[], ModelListing]"
    """Providers' listings of their models."""
    objects: Callable[[], Objects]
    """Storage for users' files."""
    anchors: Callable[[], Objects | None]
    """Bucket with a locked retention policy, for the anchors of the log; None if the settings name none."""
    log_signer: "Callable[[], NoteSigner]"
    """Key that signs checkpoints of the log."""
    witness_calls: "Callable[[], WitnessCalls]"
    """Calls of witnesses of the log."""
    publisher: Callable[[], Publisher]
    """Message broker."""
    payment_providers: "Callable[[], Mapping[ProviderName, PaymentProvider]]"
    """Payment providers whose keys are set, by name."""
    chains: "Callable[[], Mapping[NetworkName, Chain]]"
    """Networks in use, each through all sources that are set, by name."""
    price_sources: "Callable[[], Sequence[PriceSource]]"
    """Exchanges that tell prices of coins."""
    facilitator: "Callable[[], Facilitator | None]"
    """Service that brings agents' signed payments to the chain; None if the settings name none."""
    derivations: "Callable[[], tuple[Derivation, Derivation]]"
    """Two independent implementations that derive addresses from public keys."""
    alerts: Callable[[], Alerts]
    """Alerts to operators."""


class Once(Generic[T]):
    """Factory that builds at the first call, and returns the same object at later calls. Safe between threads."""

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._built: list[T] = []

    def __call__(self) -> T:
        """Return the object, built if needed."""
        if not self._built:
            with self._lock:
                if not self._built:
                    self._built.append(self._build())
        return self._built[0]


class LatePublisher:
    """Publisher that is built at the first message, so that a function without messages loads no SDK."""

    def __init__(self, build: Callable[[], Publisher]) -> None:
        self._publisher = Once(build)

    def publish(self, messages: Sequence[TopicMessage]) -> None:
        """Return once the broker has stored every message; see `Publisher.publish`."""
        self._publisher().publish(messages)
