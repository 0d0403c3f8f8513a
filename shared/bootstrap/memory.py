"""Adapters that store all data in the memory of this process."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

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
    from shared.users.ports import DomainLists, Identity


class MemoryAdapters:
    """Adapters in this process. All data is lost when the process ends."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def documents(self) -> Documents:
        from shared.platform.memory.documents import MemoryDocuments

        return MemoryDocuments()

    def identity(self) -> "Identity":
        from shared.platform.memory.identity import MemoryIdentity

        return MemoryIdentity(self._clock, self._settings.identity_tenants)

    def domain_lists(self) -> "DomainLists":
        from shared.platform.domain_lists.lists import PackagedDomainLists

        return PackagedDomainLists()

    def chat_model(self, alerts: Alerts) -> "ChatModel":
        from shared.platform.memory.chat_model import ScriptedChatModel

        return ScriptedChatModel()

    def model_listing(self) -> "ModelListing":
        from shared.platform.memory.listing import MemoryListing

        return MemoryListing()

    def passthroughs(self, alerts: Alerts) -> "Passthroughs":
        from shared.ai.openai.passthrough import Passthroughs
        from shared.ai.ports import DEFAULT_UPSTREAM
        from shared.platform.memory.passthrough import ScriptedPassthrough

        return Passthroughs({DEFAULT_UPSTREAM: ScriptedPassthrough()})

    def thinking_model(self, alerts: Alerts) -> "ThinkingModel":
        from shared.platform.memory.thinking import ScriptedThinkingModel

        return ScriptedThinkingModel()

    def web(self) -> "Web":
        from shared.platform.memory.web import MemoryWeb

        return MemoryWeb()

    def image_model(self, alerts: Alerts) -> "ImageModel":
        from shared.platform.memory.image_model import ScriptedImageModel

        return ScriptedImageModel()

    def objects(self) -> Objects:
        from shared.platform.memory.objects import MemoryObjects

        return MemoryObjects()

    def publisher(self) -> Publisher:
        from shared.platform.memory.publisher import MemoryPublisher

        return MemoryPublisher()

    def payment_providers(self, alerts: Alerts) -> "Mapping[ProviderName, PaymentProvider]":
        from shared.platform.memory.payments import MemoryProvider

        return {"stripe": MemoryProvider(self._clock, "stripe"), "paypal": MemoryProvider(self._clock, "paypal")}

    def alerts(self) -> Alerts:
        from shared.platform.memory.alerts import MemoryAlerts

        return MemoryAlerts()
