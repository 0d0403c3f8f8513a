"""Adapters of Firebase and Google Cloud, and of the providers that this backend calls."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.bootstrap.ports import LatePublisher, Once, Ports
from shared.bootstrap.schemas import archived, versioned
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
    from shared.ledger.log.notes import NoteSigner
    from shared.ledger.log.witnesses import WitnessCalls
    from shared.payments.chains.address_book import Derivation
    from shared.payments.chains.ports import Chain, NetworkName
    from shared.payments.chains.prices import PriceSource
    from shared.payments.facilitator import Facilitator
    from shared.payments.ports import PaymentProvider, ProviderName
    from shared.platform.openai.upstream import OpenAIUpstream
    from shared.users.ports import DomainLists, Identity


def cloud(settings: Settings, clock: Clock, alerts: Callable[[], Alerts] | None = None) -> Ports:
    """Return ports to Firebase and Google Cloud, or to their emulators where the environment names them.

    `alerts` replaces the alerts by Pub/Sub, also for the adapters that raise alerts themselves.
    """
    publisher = Once(lambda: LatePublisher(lambda: _publisher(settings)))
    alerted = alerts or Once(lambda: _alerts(publisher(), documents, clock))
    objects = Once(lambda: _objects(settings))
    documents = Once(lambda: _documents(settings, objects))
    upstreams = Once(lambda: upstreams_of(settings, alerted()))
    return Ports(
        documents=documents,
        identity=Once(lambda: _identity(settings, clock)),
        domain_lists=Once(_domain_lists),
        chat_model=Once(lambda: _chat_model(upstreams())),
        passthroughs=Once(lambda: _passthroughs(upstreams())),
        thinking_model=Once(lambda: _thinking_model(upstreams())),
        web=Once(_web),
        image_model=Once(lambda: _image_model(upstreams())),
        model_listing=Once(lambda: _model_listing(settings)),
        objects=objects,
        anchors=Once(lambda: _anchors(settings)),
        log_signer=Once(lambda: _log_signer(settings)),
        witness_calls=Once(_witness_calls),
        publisher=publisher,
        payment_providers=Once(lambda: _payment_providers(settings, clock, documents, alerted)),
        chains=Once(lambda: _chains(settings)),
        price_sources=Once(lambda: _price_sources(settings)),
        facilitator=Once(lambda: _facilitator(settings)),
        derivations=Once(_derivations),
        alerts=alerted,
    )


def _documents(settings: Settings, objects: Callable[[], Objects]) -> Documents:
    from shared.platform.firestore.documents import connect

    return archived(versioned(connect(settings.project)), objects, settings.ledger_id)


def _identity(settings: Settings, clock: Clock) -> "Identity":
    from shared.platform.firebase_auth.identity import FirebaseIdentity

    return FirebaseIdentity(settings.project, clock, tenants=settings.identity_tenants)


def _domain_lists() -> "DomainLists":
    from shared.platform.domain_lists.lists import PackagedDomainLists

    return PackagedDomainLists()


def _chat_model(upstreams: "Mapping[str, OpenAIUpstream]") -> "ChatModel":
    from shared.ai.models.upstreams import Upstreams
    from shared.platform.openai.chat import OpenAIChatModel

    return Upstreams({name: OpenAIChatModel(each) for name, each in upstreams.items()})


def _passthroughs(upstreams: "Mapping[str, OpenAIUpstream]") -> "Passthroughs":
    from shared.ai.openai.passthrough import Passthroughs
    from shared.platform.openai.passthrough import OpenAIPassthrough

    return Passthroughs({name: OpenAIPassthrough(each) for name, each in upstreams.items()})


def _thinking_model(upstreams: "Mapping[str, OpenAIUpstream]") -> "ThinkingModel":
    from shared.ai.agents.thinking import Thinkers
    from shared.platform.openai.thinking import OpenAIThinkingModel

    return Thinkers({name: OpenAIThinkingModel(each) for name, each in upstreams.items()})


def _web() -> "Web":
    from shared.platform.web.fetching import PublicWeb

    return PublicWeb()


def _image_model(upstreams: "Mapping[str, OpenAIUpstream]") -> "ImageModel":
    from shared.ai.ports import DEFAULT_UPSTREAM
    from shared.platform.openai.images import OpenAIImageModel
    from shared.platform.web.fetching import PublicWeb

    return OpenAIImageModel(upstreams[DEFAULT_UPSTREAM], files=PublicWeb())


def _model_listing(settings: Settings) -> "ModelListing":
    from shared.ai.ports import DEFAULT_UPSTREAM
    from shared.platform.openai.listing import OpenAIListings

    default = (settings.ai_platform_base_url, settings.ai_platform_api_key)
    others = {each.name: (each.base_url, each.api_key) for each in settings.ai_upstreams}
    return OpenAIListings({DEFAULT_UPSTREAM: default, **others})


def _objects(settings: Settings) -> Objects:
    from shared.platform.storage.objects import CloudObjects

    return CloudObjects(settings.project, settings.images_bucket)


def _anchors(settings: Settings) -> Objects | None:
    if not settings.ledger_anchor_bucket:
        return None
    from shared.platform.storage.objects import CloudObjects

    return CloudObjects(settings.project, settings.ledger_anchor_bucket, timeout_seconds=10.0, retry_seconds=20.0)


def _log_signer(settings: Settings) -> "NoteSigner":
    from shared.bootstrap.log import seed_signer

    if not settings.ledger_log_kms_key:
        return seed_signer(settings)
    from shared.ledger.log.notes import parse_vkey
    from shared.platform.kms.signer import KmsSigner

    return KmsSigner(settings.ledger_log_kms_key, parse_vkey(settings.ledger_log_vkey))


def _witness_calls() -> "WitnessCalls":
    from shared.platform.witness.calls import HttpWitnessCalls

    return HttpWitnessCalls()


def _publisher(settings: Settings) -> Publisher:
    from shared.platform.pubsub.publisher import PubSubPublisher

    return PubSubPublisher(settings.project)


def _payment_providers(
    settings: Settings, clock: Clock, documents: Callable[[], Documents], alerts: Callable[[], Alerts]
) -> "Mapping[ProviderName, PaymentProvider]":
    from shared.bootstrap.payment_adapters import configured_providers
    from shared.payments.adapters import AdapterParts

    return configured_providers(AdapterParts(settings=settings, clock=clock, documents=documents, alerts=alerts))


def _chains(settings: Settings) -> "Mapping[NetworkName, Chain]":
    from shared.bootstrap.chain_adapters import configured_chains
    from shared.payments.chains.configured import networks_of

    return configured_chains(networks_of(settings.crypto_networks), settings.chain_sources)


def _price_sources(settings: Settings) -> "Sequence[PriceSource]":
    from shared.platform.spot.coinbase import CoinbasePrices
    from shared.platform.spot.kraken import KrakenPrices

    known: Mapping[str, PriceSource] = {
        "coinbase": CoinbasePrices(settings.coinbase_api_base),
        "kraken": KrakenPrices(settings.kraken_api_base),
    }
    return tuple(known[name] for name in settings.crypto_spot_prices)


def _facilitator(settings: Settings) -> "Facilitator | None":
    if not settings.x402_facilitator_url:
        return None
    from shared.platform.addresses.keccak import checksummed
    from shared.platform.x402.facilitator import HttpFacilitator

    return HttpFacilitator(settings.x402_facilitator_url, checksummed)


def _derivations() -> "tuple[Derivation, Derivation]":
    from shared.platform.addresses.by_coincurve import CoincurveDerivation
    from shared.platform.addresses.by_embit import EmbitDerivation

    return CoincurveDerivation(), EmbitDerivation()


def _alerts(publisher: Publisher, documents: Callable[[], Documents], clock: Clock) -> Alerts:
    """Return the alerts of this instance. Reports that wait are written when the process ends."""
    import atexit

    from shared.kernel.alert_book import AlertBook
    from shared.platform.pubsub.alerts import PublishedAlerts

    book = AlertBook(documents, clock, _run_later)
    atexit.register(book.flush)
    return PublishedAlerts(publisher, book)


def _run_later(seconds: float, work: Callable[[], None]) -> None:
    """Run `work` after these seconds in a thread that does not keep the process alive."""
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()


def upstreams_of(settings: Settings, alerts: Alerts) -> "Mapping[str, OpenAIUpstream]":
    """Return the upstreams by their names. Chat, routes, agents and images share the knowledge gained of each."""
    from shared.ai.models.profiles import end_user_fields_of, profile_named
    from shared.ai.ports import DEFAULT_UPSTREAM
    from shared.platform.openai.upstream import OpenAIUpstream

    default = (DEFAULT_UPSTREAM, settings.ai_platform_base_url, settings.ai_platform_api_key)
    named = [(*default, settings.ai_platform_profile)]
    named += [(each.name, each.base_url, each.api_key, each.profile) for each in settings.ai_upstreams]
    return {
        name: OpenAIUpstream(
            base_url=url,
            api_key=key,
            end_user_fields=end_user_fields_of(profile, url),
            profile=profile_named(profile, url),
            alerts=alerts,
        )
        for name, url, key, profile in named
    }
