"""Interface between the composition root and a set of adapters: one method for each port."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, Publisher
from shared.kernel.objects import Objects

if TYPE_CHECKING:
    from shared.ai.agents.thinking import ThinkingModel
    from shared.ai.agents.web import Web
    from shared.ai.openai.passthrough import Passthroughs
    from shared.ai.ports import ChatModel, ImageModel, ModelListing
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.users.ports import DomainLists, Identity


class Adapters(Protocol):
    """Set of adapters, one for each port."""

    def documents(self) -> Documents:
        """Return the adapter of the database."""
        ...

    def identity(self) -> "Identity":
        """Return the adapter of the identity provider, where users sign in."""
        ...

    def domain_lists(self) -> "DomainLists":
        """Return the adapter of the public lists of mail domains."""
        ...

    def chat_model(self, alerts: Alerts) -> "ChatModel":
        """Return the adapter of the upstreams for chat."""
        ...

    def passthroughs(self, alerts: Alerts) -> "Passthroughs":
        """Return the adapters of the same upstreams for the OpenAI routes, with the upstreams' own shapes."""
        ...

    def thinking_model(self, alerts: Alerts) -> "ThinkingModel":
        """Return the adapter of the upstream for agents."""
        ...

    def web(self) -> "Web":
        """Return the adapter of the public web."""
        ...

    def image_model(self, alerts: Alerts) -> "ImageModel":
        """Return the adapter of the upstream for images."""
        ...

    def model_listing(self) -> "ModelListing":
        """Return the adapter of the providers' listings of their models."""
        ...

    def objects(self) -> Objects:
        """Return the adapter of the storage for users' files."""
        ...

    def publisher(self) -> Publisher:
        """Return the adapter of the message broker."""
        ...

    def payment_providers(self, alerts: Alerts) -> "Mapping[ProviderName, PaymentProvider]":
        """Return the adapters of the configured payment providers, by name."""
        ...

    def alerts(self) -> Alerts:
        """Return the adapter that alerts operators."""
        ...
