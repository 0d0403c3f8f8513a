"""What the composition root asks of a set of adapters: one for each port."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, Publisher
from shared.kernel.objects import Objects

if TYPE_CHECKING:
    from shared.ai.passthrough import Passthroughs
    from shared.ai.ports import ChatModel, ImageModel, ModelListing
    from shared.ai.thinking import ThinkingModel
    from shared.ai.web import Web
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.users.ports import DomainLists, Identity


class Adapters(Protocol):
    """What fills the ports."""

    def documents(self) -> Documents:
        """The database."""
        ...

    def identity(self) -> "Identity":
        """Who signs in."""
        ...

    def domain_lists(self) -> "DomainLists":
        """What is known of mail domains."""
        ...

    def chat_model(self, alerts: Alerts) -> "ChatModel":
        """The models' upstream."""
        ...

    def passthroughs(self, alerts: Alerts) -> "Passthroughs":
        """The same upstreams, with their own shapes."""
        ...

    def thinking_model(self, alerts: Alerts) -> "ThinkingModel":
        """The upstream of agents."""
        ...

    def web(self) -> "Web":
        """The public web."""
        ...

    def image_model(self, alerts: Alerts) -> "ImageModel":
        """The upstream that paints."""
        ...

    def model_listing(self) -> "ModelListing":
        """What providers list of their models."""
        ...

    def objects(self) -> Objects:
        """Users' files."""
        ...

    def publisher(self) -> Publisher:
        """The message broker."""
        ...

    def payment_providers(self, alerts: Alerts) -> "Mapping[ProviderName, PaymentProvider]":
        """Who takes money for us: those that are configured."""
        ...

    def alerts(self) -> Alerts:
        """How operators are told."""
        ...
