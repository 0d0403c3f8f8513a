"""The composition root: which adapter fills which port, and what each part is built from.

Parts are built when they are first asked for, and imported then, so that a function that never talks to a model never
loads its SDK. Everything else asks for its parts in its constructor.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, overload

from shared.kernel.clock import Clock, SystemClock
from shared.kernel.documents import Documents
from shared.kernel.events import Alerts, Message, Publisher
from shared.kernel.objects import Objects
from shared.kernel.settings import Settings, parse_settings

if TYPE_CHECKING:
    from shared.ai.answers import Answers
    from shared.ai.conversations import Conversations
    from shared.ai.health import Health
    from shared.ai.image_links import Links
    from shared.ai.image_tasks import ImageTasks
    from shared.ai.images import Images
    from shared.ai.models import Catalogue
    from shared.ai.passthrough import Passthroughs
    from shared.ai.ports import ChatModel, ImageModel, ModelListing
    from shared.ai.preferences import Preferences
    from shared.ai.tariff import Tariff
    from shared.ai.thinking import ThinkingModel
    from shared.ai.web import Web
    from shared.ledger.analytics import Analytics
    from shared.ledger.ledger import Ledger
    from shared.ledger.relay import Relay
    from shared.payments.inbox import Inbox
    from shared.payments.packages import Packages
    from shared.payments.ports import PaymentProvider, ProviderName, Webhooks
    from shared.payments.store import Payments
    from shared.sagas.agent_slice import AgentSlice
    from shared.sagas.agents import Agents
    from shared.sagas.chat_turn import ChatTurn
    from shared.sagas.checkout import Checkouts
    from shared.sagas.first_sight import FirstSight
    from shared.sagas.greeting import Greeting
    from shared.sagas.image_job import ImageJob
    from shared.sagas.image_start import ImageStart
    from shared.sagas.jobs import Jobs
    from shared.sagas.key_budgets import KeyBudgets
    from shared.sagas.leaving import Leaving
    from shared.sagas.ledger_watch import LedgerWatch
    from shared.sagas.models_sync import ModelsSync
    from shared.sagas.openai_call import OpenAICall
    from shared.sagas.operators import Operators
    from shared.sagas.payment_inbox import PaymentInbox
    from shared.sagas.payment_operators import PaymentOperators
    from shared.sagas.payment_replays import PaymentReplays
    from shared.sagas.refunds import Refunds
    from shared.sagas.settlement import Settlement
    from shared.sagas.welcome_bonus import WelcomeBonus
    from shared.users.api_keys import ApiKeys
    from shared.users.audit import AuditTrail
    from shared.users.key_lookup import KeyLookup
    from shared.users.ports import Identity
    from shared.users.profiles import Profiles

T = TypeVar("T")

MEMORY_ENVIRONMENT = {
    "GCLOUD_PROJECT": "demo-memory",
    "LEDGER_SIGNING_KEY": "memory-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "FIRESTORE_EMULATOR_HOST": "nowhere.invalid:1",
}
"""What `in_memory` runs with unless told otherwise: a laptop's defaults, and a key that everybody knows."""


class part(Generic[T]):  # noqa: N801  # used as a decorator, like `property`
    """A part of the services: built once, by whoever asks first, and kept for the life of the services."""

    def __init__(self, build: Callable[[Any], T]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, services: None, owner: type) -> Self: ...

    @overload
    def __get__(self, services: "Services", owner: type) -> T: ...

    def __get__(self, services: "Services | None", owner: type) -> Self | T:
        """The part. It then stands in the instance's own dictionary, where it is found without this lock."""
        if services is None:
            return self
        with services.lock:
            if self._name not in services.__dict__:
                services.__dict__[self._name] = self._build(services)
            built: T = services.__dict__[self._name]
            return built


class Adapters(Protocol):
    """What fills the ports."""

    def documents(self) -> Documents:
        """The database."""
        ...

    def identity(self) -> "Identity":
        """Who signs in."""
        ...

    def chat_model(self) -> "ChatModel":
        """The models' upstream."""
        ...

    def passthroughs(self) -> "Passthroughs":
        """The same upstreams, with their own shapes."""
        ...

    def thinking_model(self) -> "ThinkingModel":
        """The upstream of agents."""
        ...

    def web(self) -> "Web":
        """The public web."""
        ...

    def image_model(self) -> "ImageModel":
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


class Services:
    """Every part of the backend, wired. Safe to share between threads."""

    def __init__(self, settings: Settings, clock: Clock, adapters: Adapters, **parts: object) -> None:
        self.lock = threading.RLock()
        self.settings = settings
        self.clock = clock
        self._adapters = adapters
        unknown = [name for name in parts if not isinstance(getattr(type(self), name, None), part)]
        assert not unknown, f"there are no parts {unknown}"
        self.__dict__.update(parts)

    @part
    def documents(self) -> Documents:
        """The database."""
        return self._adapters.documents()

    @part
    def identity(self) -> "Identity":
        """Firebase Auth."""
        return self._adapters.identity()

    @part
    def chat_model(self) -> "ChatModel":
        """The models' upstream."""
        return self._adapters.chat_model()

    @part
    def thinking_model(self) -> "ThinkingModel":
        """The upstream of agents."""
        return self._adapters.thinking_model()

    @part
    def web(self) -> "Web":
        """The public web."""
        return self._adapters.web()

    @part
    def image_model(self) -> "ImageModel":
        """The upstream that paints."""
        return self._adapters.image_model()

    @part
    def objects(self) -> Objects:
        """Users' files."""
        return self._adapters.objects()

    @part
    def publisher(self) -> Publisher:
        """Pub/Sub; its SDK is loaded when something is first published."""
        return _LatePublisher(self._adapters.publisher)

    @part
    def alerts(self) -> Alerts:
        """How operators are told."""
        return self._adapters.alerts()

    @part
    def ledger(self) -> "Ledger":
        """Credits."""
        from shared.ledger.commands import RateLimit
        from shared.ledger.keys import KeyRing
        from shared.ledger.ledger import Ledger

        settings = self.settings
        return Ledger(
            self.documents,
            self.clock,
            KeyRing(settings.ledger_signing_keys),
            ledger_id=settings.ledger_id,
            hold_lifetime_seconds=settings.hold_lifetime_seconds,
            rate=RateLimit(per_minute=settings.rate_limit_per_minute, burst=settings.rate_limit_burst),
            alerts=self.alerts,
        )

    @part
    def catalogue(self) -> "Catalogue":
        """The models."""
        from shared.ai.models import Catalogue

        return Catalogue(self.documents, self.clock)

    @part
    def models_sync(self) -> "ModelsSync":
        """Models and prices from a provider's listing."""
        from shared.sagas.models_sync import ModelsSync

        return ModelsSync(self.catalogue, self._adapters.model_listing(), self.audit)

    @part
    def tariff(self) -> "Tariff":
        """What usage costs."""
        from shared.ai.tariff import Tariff

        return Tariff(credits_per_usd=self.settings.credits_per_usd, markup_percent=self.settings.markup_percent)

    @part
    def preferences(self) -> "Preferences":
        """What a user chose."""
        from shared.ai.preferences import Preferences

        return Preferences(self.documents)

    @part
    def conversations(self) -> "Conversations":
        """Conversations and their messages."""
        from shared.ai.conversations import Conversations

        return Conversations(self.documents, self.clock)

    @part
    def chat_turn(self) -> "ChatTurn":
        """One message to a model, and what it costs."""
        from shared.sagas.chat_turn import ChatTurn

        return ChatTurn(
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            conversations=self.conversations,
            preferences=self.preferences,
            chat_model=self.chat_model,
            documents=self.documents,
            clock=self.clock,
            default_model=self.settings.default_model,
            health=self.health,
        )

    @part
    def payment_providers(self) -> "Mapping[ProviderName, PaymentProvider]":
        """Stripe and PayPal, as far as their keys are set."""
        return self._adapters.payment_providers(self.alerts)

    @part
    def stripe_webhooks(self) -> "Webhooks":
        """Whether an event is Stripe's."""
        from shared.platform.stripe.webhooks import StripeWebhooks

        return StripeWebhooks(self.settings.stripe_webhook_secret, self.clock)

    @part
    def paypal_webhooks(self) -> "Webhooks":
        """Whether an event is PayPal's."""
        from shared.platform.paypal.webhooks import PayPalWebhooks

        return PayPalWebhooks(
            webhook_id=self.settings.paypal_webhook_id,
            api_base=self.settings.paypal_api_base,
            roots=self.settings.paypal_webhook_roots,
            clock=self.clock,
        )

    @part
    def inbox(self) -> "Inbox":
        """What payment providers told us."""
        from shared.payments.inbox import Inbox
        from shared.platform.paypal.addresses import is_live_address
        from shared.platform.stripe.events import is_live_key

        settings = self.settings
        modes: dict[ProviderName, bool] = {"paypal": is_live_address(settings.paypal_api_base)}
        if settings.stripe_secret_key:
            modes["stripe"] = is_live_key(settings.stripe_secret_key)
        return Inbox(self.documents, self.clock, self.alerts, modes)

    @part
    def images(self) -> "Images":
        """Images that were made."""
        from shared.ai.images import Images

        return Images(self.documents, self.objects)

    @part
    def image_tasks(self) -> "ImageTasks":
        """Images that are being made."""
        from shared.ai.image_tasks import ImageTasks

        return ImageTasks(self.documents)

    @part
    def image_links(self) -> "Links":
        """Links that show one image for a while."""
        from shared.ai.image_links import KEY_INFO, Links
        from shared.users.mailbox import derived_key

        return Links([derived_key(key.seed, KEY_INFO) for key in self.settings.ledger_signing_keys])

    @part
    def image_start(self) -> "ImageStart":
        """An image task begins."""
        from shared.kernel.clock import SECOND
        from shared.ledger.commands import RateLimit
        from shared.sagas.image_start import HOLD_LIFETIME_MIN, ImageStart

        settings = self.settings
        return ImageStart(
            documents=self.documents,
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            preferences=self.preferences,
            publisher=self.publisher,
            clock=self.clock,
            default_model=settings.default_image_model,
            hold_lifetime=max(settings.hold_lifetime_seconds * SECOND, HOLD_LIFETIME_MIN),
            rate=RateLimit(per_minute=settings.rate_limit_per_minute, burst=settings.rate_limit_burst),
        )

    @part
    def image_job(self) -> "ImageJob":
        """An image task goes on."""
        from shared.kernel.clock import SECOND
        from shared.sagas.image_job import ImageJob
        from shared.sagas.image_start import HOLD_LIFETIME_MIN

        return ImageJob(
            documents=self.documents,
            objects=self.objects,
            ledger=self.ledger,
            image_model=self.image_model,
            calls=self.image_start,
            alerts=self.alerts,
            clock=self.clock,
            hold_lifetime=max(self.settings.hold_lifetime_seconds * SECOND, HOLD_LIFETIME_MIN),
        )

    @part
    def health(self) -> "Health":
        """Which models failed just now."""
        from shared.ai.health import Health

        return Health(self.clock)

    @part
    def passthroughs(self) -> "Passthroughs":
        """The same upstreams, with their own shapes."""
        return self._adapters.passthroughs()

    @part
    def answers(self) -> "Answers":
        """Answers that may be asked for again."""
        from shared.ai.answers import Answers

        return Answers(self.documents, self.clock)

    @part
    def openai_call(self) -> "OpenAICall":
        """One call in OpenAI's protocol, and what it costs."""
        from shared.ai.expectation import Expectation
        from shared.sagas.openai_call import OpenAICall

        return OpenAICall(
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            preferences=self.preferences,
            expectation=Expectation(self.documents, self.clock),
            answers=self.answers,
            passthroughs=self.passthroughs,
            documents=self.documents,
            clock=self.clock,
            default_model=self.settings.default_model,
            health=self.health,
        )

    @part
    def packages(self) -> "Packages":
        """What is sold."""
        from shared.payments.packages import Packages

        return Packages(self.documents, self.clock)

    @part
    def payments(self) -> "Payments":
        """What was paid."""
        from shared.payments.store import Payments

        return Payments(self.documents)

    @part
    def checkouts(self) -> "Checkouts":
        """Buying a package."""
        from shared.sagas.checkout import Checkouts

        return Checkouts(self.documents, self.packages, self.payment_providers, self.clock)

    @part
    def settlement(self) -> "Settlement":
        """Accounts brought to what providers say."""
        from shared.sagas.payment_steps import PaymentSteps
        from shared.sagas.settlement import Settlement

        steps = PaymentSteps(self.documents, self.ledger, self.payment_providers, self.clock)
        return Settlement(self.documents, self.payment_providers, steps, self.alerts, self.clock)

    @part
    def refunds(self) -> "Refunds":
        """Money given back by us."""
        from shared.sagas.refunds import Refunds

        return Refunds(self.documents, self.settlement, self.clock)

    @part
    def payment_inbox(self) -> "PaymentInbox":
        """What providers' notices lead to."""
        from shared.sagas.payment_inbox import PaymentInbox

        return PaymentInbox(self.documents, self.settlement, self.payment_providers, self.alerts, self.clock)

    @part
    def payment_operators(self) -> "PaymentOperators":
        """What operators do about payments."""
        from shared.sagas.payment_operators import PaymentOperators

        return PaymentOperators(self.operators, self.audit, self.packages, self.payments, self.refunds, self.settlement)

    @part
    def agent_slice(self) -> "AgentSlice":
        """One bounded slice of an agent's work."""
        from shared.sagas.agent_slice import AgentSlice
        from shared.sagas.tools.ask_model import AskModel
        from shared.sagas.tools.calculator import Calculator
        from shared.sagas.tools.generate_image import GenerateImage
        from shared.sagas.tools.plan import Plan
        from shared.sagas.tools.read_document import ReadDocument
        from shared.sagas.tools.web_fetch import WebFetch
        from shared.sagas.tools.write_artifact import WriteArtifact

        tools = (
            Plan(),
            Calculator(),
            WebFetch(self.web),
            ReadDocument(),
            WriteArtifact(),
            AskModel(self.catalogue, self.tariff, self.chat_model, self.clock),
            GenerateImage(
                catalogue=self.catalogue,
                tariff=self.tariff,
                preferences=self.preferences,
                image_model=self.image_model,
                images=self.images,
                objects=self.objects,
                clock=self.clock,
                default_model=self.settings.default_image_model,
            ),
        )
        return AgentSlice(
            documents=self.documents,
            ledger=self.ledger,
            catalogue=self.catalogue,
            tariff=self.tariff,
            thinking=self.thinking_model,
            tools={tool.name: tool for tool in tools},
            publisher=self.publisher,
            alerts=self.alerts,
            clock=self.clock,
        )

    @part
    def agents(self) -> "Agents":
        """Agent tasks."""
        from shared.sagas.agents import Agents

        return Agents(
            documents=self.documents,
            catalogue=self.catalogue,
            preferences=self.preferences,
            slices=self.agent_slice,
            clock=self.clock,
            default_model=self.settings.default_model,
        )

    @part
    def payment_replays(self) -> "PaymentReplays":
        """What waits for a person, tried anew."""
        from shared.sagas.payment_replays import PaymentReplays

        return PaymentReplays(self.audit, self.payments, self.settlement, self.inbox, self.payment_inbox)

    @part
    def profiles(self) -> "Profiles":
        """What is known about users."""
        from shared.users.profiles import Profiles

        return Profiles(self.documents, self.clock)

    @part
    def api_keys(self) -> "ApiKeys":
        """API keys."""
        from shared.users.api_keys import ApiKeys

        return ApiKeys(self.documents, self.clock)

    @part
    def key_lookup(self) -> "KeyLookup":
        """Whose API key this is."""
        from shared.users.key_lookup import KeyLookup

        return KeyLookup(self.api_keys, self.clock)

    @part
    def key_budgets(self) -> "KeyBudgets":
        """What API keys may spend."""
        from shared.sagas.key_budgets import KeyBudgets

        return KeyBudgets(self.ledger, self.clock)

    @part
    def audit(self) -> "AuditTrail":
        """What operators did."""
        from shared.users.audit import AuditTrail

        return AuditTrail(self.documents, self.clock)

    @part
    def first_sight(self) -> "FirstSight":
        """The first call of a user."""
        from shared.sagas.first_sight import FirstSight

        return FirstSight(self.profiles, self.ledger, self.clock)

    @part
    def greeting(self) -> "Greeting":
        """What a new user is offered."""
        from shared.sagas.greeting import Greeting

        return Greeting(self.profiles, self.ledger, bonus=self.settings.welcome_bonus_amount)

    @part
    def welcome_bonus(self) -> "WelcomeBonus":
        """The welcome bonus."""
        from shared.sagas.welcome_bonus import WelcomeBonus

        return WelcomeBonus(self.documents, self.ledger, self.profiles, self.clock, self.settings)

    @part
    def leaving(self) -> "Leaving":
        """A user leaves."""
        from shared.sagas.customers import Customers
        from shared.sagas.leaving import Leaving
        from shared.users.erasing import Below

        customers = Customers(self.documents, self.payment_providers)

        notes = Below(self.documents, "accounts/{uid}/notes")
        return Leaving(
            self.documents,
            self.ledger,
            self.identity,
            self.profiles,
            self.first_sight,
            [
                self.conversations,
                self.preferences,
                self.api_keys,
                self.answers,
                notes,
                self.image_tasks,
                self.images,
                customers,
                self.agents,
            ],
            self.alerts,
            self.clock,
        )

    @part
    def operators(self) -> "Operators":
        """What operators may do."""
        from shared.sagas.operators import Operators

        return Operators(self.identity, self.profiles, self.ledger, self.audit, self.catalogue.put)

    @part
    def relay(self) -> "Relay":
        """The ledger's news."""
        from shared.ledger.relay import Relay

        return Relay(self.documents, self.ledger, self.publisher, [self.analytics])

    @part
    def analytics(self) -> "Analytics":
        """What was used, by day."""
        from shared.ledger.analytics import Analytics

        return Analytics(self.documents, self.ledger, self.clock)

    @part
    def ledger_watch(self) -> "LedgerWatch":
        """The watch over the journal."""
        from shared.sagas.ledger_watch import LedgerWatch

        return LedgerWatch(self.documents, self.ledger, self.relay, self.alerts, self.clock)

    @part
    def jobs(self) -> "Jobs":
        """Periodic work."""
        from shared.sagas.agent_jobs import AgentJobs
        from shared.sagas.image_sweep import ImageSweep
        from shared.sagas.jobs import Jobs
        from shared.sagas.leaving_jobs import LeavingJobs
        from shared.sagas.ledger_jobs import LedgerJobs
        from shared.sagas.payment_jobs import PaymentJobs

        images = ImageSweep(
            documents=self.documents,
            tasks=self.image_tasks,
            start=self.image_start,
            job=self.image_job,
            clock=self.clock,
        )
        ledger = LedgerJobs(self.documents, self.ledger, self.relay, self.ledger_watch)
        leavings = LeavingJobs(self.leaving)
        payments = PaymentJobs(
            self.payments, self.settlement, self.inbox, self.payment_inbox, lambda: self.payment_providers, self.clock
        )
        agents = AgentJobs(self.agents)
        by_schedule = {
            "every_minute": (
                *ledger.every_minute(),
                *payments.every_minute(),
                *leavings.every_minute(),
                *images.every_minute(),
                *agents.every_minute(),
            ),
            "every_day": (*ledger.every_day(), *leavings.every_day()),
        }
        return Jobs(self.documents, self.clock, by_schedule)


class _LatePublisher:
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


class _Cloud:
    """Firebase and Google Cloud, or their emulators where the environment names them."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def documents(self) -> Documents:
        from shared.platform.firestore.documents import connect

        return connect(self._settings.project)

    def identity(self) -> "Identity":
        from shared.platform.firebase_auth.identity import FirebaseIdentity

        return FirebaseIdentity(self._settings.project, self._clock)

    def chat_model(self) -> "ChatModel":
        from shared.ai.models import DEFAULT_UPSTREAM
        from shared.ai.upstreams import Upstreams
        from shared.platform.openai.chat import OpenAIChatModel

        settings = self._settings
        default = OpenAIChatModel(base_url=settings.ai_platform_base_url, api_key=settings.ai_platform_api_key)
        others = {
            each.name: OpenAIChatModel(base_url=each.base_url, api_key=each.api_key) for each in settings.ai_upstreams
        }
        return Upstreams({DEFAULT_UPSTREAM: default, **others})

    def model_listing(self) -> "ModelListing":
        from shared.ai.models import DEFAULT_UPSTREAM
        from shared.platform.openai.listing import OpenAIListings

        settings = self._settings
        default = (settings.ai_platform_base_url, settings.ai_platform_api_key)
        others = {each.name: (each.base_url, each.api_key) for each in settings.ai_upstreams}
        return OpenAIListings({DEFAULT_UPSTREAM: default, **others})

    def passthroughs(self) -> "Passthroughs":
        from shared.ai.models import DEFAULT_UPSTREAM
        from shared.ai.passthrough import Passthroughs
        from shared.platform.openai.passthrough import OpenAIPassthrough

        settings = self._settings
        default = OpenAIPassthrough(base_url=settings.ai_platform_base_url, api_key=settings.ai_platform_api_key)
        others = {
            each.name: OpenAIPassthrough(base_url=each.base_url, api_key=each.api_key) for each in settings.ai_upstreams
        }
        return Passthroughs({DEFAULT_UPSTREAM: default, **others})

    def thinking_model(self) -> "ThinkingModel":
        from shared.ai.models import DEFAULT_UPSTREAM
        from shared.ai.thinking import Thinkers
        from shared.platform.openai.thinking import OpenAIThinkingModel

        settings = self._settings
        default = OpenAIThinkingModel(base_url=settings.ai_platform_base_url, api_key=settings.ai_platform_api_key)
        others = {
            each.name: OpenAIThinkingModel(base_url=each.base_url, api_key=each.api_key)
            for each in settings.ai_upstreams
        }
        return Thinkers({DEFAULT_UPSTREAM: default, **others})

    def web(self) -> "Web":
        from shared.platform.web.fetching import PublicWeb

        return PublicWeb()

    def image_model(self) -> "ImageModel":
        from shared.platform.openai.images import OpenAIImageModel

        settings = self._settings
        return OpenAIImageModel(base_url=settings.ai_platform_base_url, api_key=settings.ai_platform_api_key)

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

        return PublishedAlerts(_LatePublisher(self.publisher))


class _Memory:
    """Everything in this process; gone with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def documents(self) -> Documents:
        from shared.platform.memory.documents import MemoryDocuments

        return MemoryDocuments()

    def identity(self) -> "Identity":
        from shared.platform.memory.identity import MemoryIdentity

        return MemoryIdentity(self._clock)

    def chat_model(self) -> "ChatModel":
        from shared.platform.memory.chat_model import ScriptedChatModel

        return ScriptedChatModel()

    def model_listing(self) -> "ModelListing":
        from shared.platform.memory.listing import MemoryListing

        return MemoryListing()

    def passthroughs(self) -> "Passthroughs":
        from shared.ai.models import DEFAULT_UPSTREAM
        from shared.ai.passthrough import Passthroughs
        from shared.platform.memory.passthrough import ScriptedPassthrough

        return Passthroughs({DEFAULT_UPSTREAM: ScriptedPassthrough()})

    def thinking_model(self) -> "ThinkingModel":
        from shared.platform.memory.thinking import ScriptedThinkingModel

        return ScriptedThinkingModel()

    def web(self) -> "Web":
        from shared.platform.memory.web import MemoryWeb

        return MemoryWeb()

    def image_model(self) -> "ImageModel":
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


def production(settings: Settings) -> Services:
    """The services on Firebase and Google Cloud, or on their emulators."""
    clock = SystemClock()
    return Services(settings, clock, _Cloud(settings, clock))


def in_memory(env: Mapping[str, str] | None = None, *, clock: Clock | None = None, **parts: object) -> Services:
    """The same services over memory adapters. `env` overrides settings by name, `parts` replace parts by name."""
    moving = clock or SystemClock()
    settings = parse_settings({**MEMORY_ENVIRONMENT, **(env or {})})
    return Services(settings, moving, _Memory(moving), **parts)


_process_lock = threading.Lock()
_process: Services | None = None


def services() -> Services:
    """The services of this process, from its environment. Raises SettingsError naming what is wrong with it."""
    global _process  # noqa: PLW0603  # one process, one set of clients: that is what this remembers
    with _process_lock:
        if _process is None:
            _process = production(parse_settings(os.environ))
        return _process
