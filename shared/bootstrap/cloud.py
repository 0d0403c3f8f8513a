"""Adapters of Firebase and Google Cloud, and of the providers that this backend calls."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.bootstrap.ports import LatePublisher
from shared.kernel.clock import Clock
from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, Publisher
from shared.kernel.objects import Objects
from shared.kernel.settings import Settings

if TYPE_CHECKING:
    from shared.ai.agents.thinking import ThinkingModel
    from shared.ai.agents.web import Web
    from shared.ai.openai.passthrough import Passthroughs
    from shared.ai.ports import ChatModel, ImageModel, ModelListing
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.platform.openai.upstream import OpenAIUpstream
    from shared.users.ports import DomainLists, Identity


class Cloud:
    """Adapters of Firebase and Google Cloud, or of their emulators where the environment names them."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._upstreams: dict[str, OpenAIUpstream] = {}

    def documents(self) -> Documents:
        from shared.platform.firestore.documents import connect

        return connect(self._settings.project)

    def identity(self) -> "Identity":
        from shared.platform.firebase_auth.identity import FirebaseIdentity

        return FirebaseIdentity(self._settings.project, self._clock, tenants=self._settings.identity_tenants)

    def domain_lists(self) -> "DomainLists":
        from shared.platform.domain_lists.lists import PackagedDomainLists

        return PackagedDomainLists()

    def chat_model(self, alerts: Alerts) -> "ChatModel":
        from shared.ai.models.upstreams import Upstreams
        from shared.platform.openai.chat import OpenAIChatModel

        return Upstreams({name: OpenAIChatModel(each) for name, each in self._all(alerts).items()})

    def model_listing(self) -> "ModelListing":
        from shared.ai.ports import DEFAULT_UPSTREAM
        from shared.platform.openai.listing import OpenAIListings

        settings = self._settings
        default = (settings.ai_platform_base_url, settings.ai_platform_api_key)
        others = {each.name: (each.base_url, each.api_key) for each in settings.ai_upstreams}
        return OpenAIListings({DEFAULT_UPSTREAM: default, **others})

    def passthroughs(self, alerts: Alerts) -> "Passthroughs":
        from shared.ai.openai.passthrough import Passthroughs
        from shared.platform.openai.passthrough import OpenAIPassthrough

        return Passthroughs({name: OpenAIPassthrough(each) for name, each in self._all(alerts).items()})

    def thinking_model(self, alerts: Alerts) -> "ThinkingModel":
        from shared.ai.agents.thinking import Thinkers
        from shared.platform.openai.thinking import OpenAIThinkingModel

        return Thinkers({name: OpenAIThinkingModel(each) for name, each in self._all(alerts).items()})

    def web(self) -> "Web":
        from shared.platform.web.fetching import PublicWeb

        return PublicWeb()

    def image_model(self, alerts: Alerts) -> "ImageModel":
        from shared.ai.ports import DEFAULT_UPSTREAM
        from shared.platform.openai.images import OpenAIImageModel
        from shared.platform.web.fetching import PublicWeb

        return OpenAIImageModel(self._all(alerts)[DEFAULT_UPSTREAM], files=PublicWeb())

    def _all(self, alerts: Alerts) -> "Mapping[str, OpenAIUpstream]":
        """Return the upstreams by their names. Chat, routes, agents and images share the knowledge gained of each."""
        if not self._upstreams:
            from shared.ai.models.profiles import end_user_fields_of, profile_named
            from shared.ai.ports import DEFAULT_UPSTREAM
            from shared.platform.openai.upstream import OpenAIUpstream

            settings = self._settings
            default = (DEFAULT_UPSTREAM, settings.ai_platform_base_url, settings.ai_platform_api_key)
            named = [(*default, settings.ai_platform_profile)]
            named += [(each.name, each.base_url, each.api_key, each.profile) for each in settings.ai_upstreams]
            self._upstreams = {
                name: OpenAIUpstream(
                    base_url=url,
                    api_key=key,
                    end_user_fields=end_user_fields_of(profile, url),
                    profile=profile_named(profile, url),
                    alerts=alerts,
                )
                for name, url, key, profile in named
            }
        return self._upstreams

    def objects(self) -> Objects:
        from shared.platform.storage.objects import CloudObjects

        return CloudObjects(self._settings.project, self._settings.images_bucket)

    def publisher(self) -> Publisher:
        from shared.platform.pubsub.publisher import PubSubPublisher

        return PubSubPublisher(self._settings.project)

    def payment_providers(self, alerts: Alerts) -> "Mapping[ProviderName, PaymentProvider]":
        settings = self._settings
        providers: dict[ProviderName, PaymentProvider] = {}
        if settings.stripe_secret_key:
            from shared.platform.stripe.provider import StripeProvider

            providers["stripe"] = StripeProvider(
                secret_key=settings.stripe_secret_key,
                api_base=settings.stripe_api_base,
                clock=self._clock,
                alerts=alerts,
            )
        if settings.paypal_client_id and settings.paypal_client_secret:
            from shared.platform.paypal.provider import PayPalProvider

            providers["paypal"] = PayPalProvider(
                api_base=settings.paypal_api_base,
                client_id=settings.paypal_client_id,
                client_secret=settings.paypal_client_secret,
                clock=self._clock,
                alerts=alerts,
            )
        return providers

    def alerts(self) -> Alerts:
        from shared.platform.pubsub.alerts import PublishedAlerts

        return PublishedAlerts(LatePublisher(self.publisher))
