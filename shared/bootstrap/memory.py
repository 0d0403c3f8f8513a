"""Adapters that store all data in the memory of this process."""

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
    from shared.users.ports import DomainLists, Identity


def memory(settings: Settings, clock: Clock) -> Ports:
    """Return ports to adapters in this process. All data is lost when the process ends."""
    chains = Once(lambda: _chains(settings, clock))
    objects = Once(_objects)
    documents = Once(lambda: _documents(settings, objects))
    return Ports(
        documents=documents,
        identity=Once(lambda: _identity(settings, clock)),
        domain_lists=Once(_domain_lists),
        chat_model=Once(_chat_model),
        passthroughs=Once(_passthroughs),
        thinking_model=Once(_thinking_model),
        web=Once(_web),
        image_model=Once(_image_model),
        model_listing=Once(_model_listing),
        objects=objects,
        anchors=Once(lambda: _anchors(settings)),
        log_signer=Once(lambda: _log_signer(settings)),
        witness_calls=Once(lambda: _witness_calls(clock)),
        publisher=Once(lambda: LatePublisher(_publisher)),
        payment_providers=Once(lambda: _payment_providers(clock)),
        chains=chains,
        price_sources=Once(lambda: _price_sources(clock)),
        facilitator=Once(lambda: _facilitator(settings, chains)),
        derivations=Once(_derivations),
        alerts=Once(lambda: _alerts(documents, clock)),
    )


def _documents(settings: Settings, objects: Callable[[], Objects]) -> Documents:
    from shared.platform.memory.documents import MemoryDocuments

    return archived(versioned(MemoryDocuments()), objects, settings.ledger_id)


def _identity(settings: Settings, clock: Clock) -> "Identity":
    from shared.platform.memory.identity import MemoryIdentity

    return MemoryIdentity(clock, settings.identity_tenants)


def _domain_lists() -> "DomainLists":
    from shared.platform.domain_lists.lists import PackagedDomainLists

    return PackagedDomainLists()


def _chat_model() -> "ChatModel":
    from shared.platform.memory.chat_model import ScriptedChatModel

    return ScriptedChatModel()


def _passthroughs() -> "Passthroughs":
    from shared.ai.openai.passthrough import Passthroughs
    from shared.ai.ports import DEFAULT_UPSTREAM
    from shared.platform.memory.passthrough import ScriptedPassthrough

    return Passthroughs({DEFAULT_UPSTREAM: ScriptedPassthrough()})


def _thinking_model() -> "ThinkingModel":
    from shared.platform.memory.thinking import ScriptedThinkingModel

    return ScriptedThinkingModel()


def _web() -> "Web":
    from shared.platform.memory.web import MemoryWeb

    return MemoryWeb()


def _image_model() -> "ImageModel":
    from shared.platform.memory.image_model import ScriptedImageModel

    return ScriptedImageModel()


def _model_listing() -> "ModelListing":
    from shared.platform.memory.listing import MemoryListing

    return MemoryListing()


def _objects() -> Objects:
    from shared.platform.memory.objects import MemoryObjects

    return MemoryObjects()


def _anchors(settings: Settings) -> Objects | None:
    if not settings.ledger_anchor_bucket:
        return None
    from shared.platform.memory.objects import MemoryAnchors

    return MemoryAnchors()


def _log_signer(settings: Settings) -> "NoteSigner":
    from shared.bootstrap.log import seed_signer

    return seed_signer(settings)


def _witness_calls(clock: Clock) -> "WitnessCalls":
    from shared.platform.memory.witness import MemoryWitness

    return MemoryWitness("witness.memory", bytes(32), clock)


def _publisher() -> Publisher:
    from shared.platform.memory.publisher import MemoryPublisher

    return MemoryPublisher()


def _payment_providers(clock: Clock) -> "Mapping[ProviderName, PaymentProvider]":
    from shared.payments.providers import PROVIDERS
    from shared.platform.memory.payments import MemoryProvider

    return {name: MemoryProvider(clock, name) for name in PROVIDERS}


def _chains(settings: Settings, clock: Clock) -> "Mapping[NetworkName, Chain]":
    if not settings.crypto_networks:
        return {}
    from shared.payments.chains.configured import networks_of
    from shared.platform.addresses.authorizations import domain_separator
    from shared.platform.memory.chain import MemoryChain

    networks = networks_of(settings.crypto_networks)
    return {name: MemoryChain(network, clock, domain_separator) for name, network in networks.items()}


def _price_sources(clock: Clock) -> "Sequence[PriceSource]":
    from shared.platform.memory.prices import MemoryPrices

    return (MemoryPrices(clock, "one"), MemoryPrices(clock, "two"))


def _facilitator(settings: Settings, chains: "Callable[[], Mapping[NetworkName, Chain]]") -> "Facilitator | None":
    if not settings.x402_facilitator_url:
        return None
    from shared.platform.memory.facilitator import MemoryFacilitator

    return MemoryFacilitator(chains)


def _derivations() -> "tuple[Derivation, Derivation]":
    from shared.platform.addresses.by_coincurve import CoincurveDerivation
    from shared.platform.addresses.by_embit import EmbitDerivation

    return CoincurveDerivation(), EmbitDerivation()


def _alerts(documents: Callable[[], Documents], clock: Clock) -> Alerts:
    from shared.kernel.alert_book import AlertBook
    from shared.platform.memory.alerts import MemoryAlerts

    return MemoryAlerts(AlertBook(documents, clock, _run_if_due))


def _run_if_due(seconds: float, work: Callable[[], None]) -> None:
    """Run `work` at once unless it is for later: a process in memory has no threads, and `flush` does the rest."""
    if not seconds:
        work()
