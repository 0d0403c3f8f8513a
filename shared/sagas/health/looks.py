"""Looks at the parts that this backend depends on: a small call to each part that changes nothing and costs nothing."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from shared.ai.ports import ModelListing
from shared.kernel.clock import Clock, Millis
from shared.kernel.errors import NotFound, code_of
from shared.kernel.events import Publisher, TopicMessage
from shared.kernel.ids import Uid
from shared.kernel.objects import Objects
from shared.kernel.tracing import in_this_work
from shared.ledger.errors import NoSigningKey
from shared.ledger.key_registry import KeyRegistry
from shared.ledger.key_ring import KeyRing
from shared.ledger.keys import Verifier
from shared.payments.ports import PaymentProvider
from shared.users.ports import AppCheckFailed, Identity

Look = Callable[[], object]
"""Call to a part. Any error but NotFound means that the part does not do its work."""

LOOK_SECONDS = 8.0
"""Most seconds of all looks, which run side by side. A part that has not answered by then is down."""
NO_ANSWER = "no_answer"
"""Code of a part that has not answered in time."""
PROBE_UID = Uid("health-probe")
"""Uid that nobody has: Firebase's uids have no hyphen."""
PROBE_OBJECT = "health/probe"
"""Name of an object that need not exist."""
PROBE_TOPIC = "health"
"""Topic that nobody subscribes to."""
PROBE_TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImhlYWx0aC1wcm9iZSIsInR5cCI6IkpXVCJ9.e30.AAAA"  # noqa: S105  # no secret
"""Token of a key that Google never had, so that the adapter must fetch the present keys to refuse the token."""
CONTEXT = b"health-probe\n"


def look_at_all(looks: Mapping[str, Look], seconds: float = LOOK_SECONDS) -> dict[str, str]:
    """Look at all parts side by side. Return the code of each look's error by part, "" for a part that answered."""
    pool = ThreadPoolExecutor(max(1, len(looks)), thread_name_prefix="look")
    running = {name: pool.submit(in_this_work(_look), look) for name, look in looks.items()}
    wait(running.values(), seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    return {name: _code(future) for name, future in running.items()}


def _look(look: Look) -> str:
    try:
        look()
    except NotFound:
        return ""
    except Exception as error:  # noqa: BLE001  # whatever a part answers, the looks at the other parts count
        return code_of(error)
    return ""


def _code(future: Future[str]) -> str:
    return future.result() if future.done() and not future.cancelled() else NO_ANSWER


def identity_look(identity: Identity) -> Look:
    """Return a look for a user who does not exist."""
    return lambda: identity.get_user(PROBE_UID)


def broker_look(publisher: Publisher) -> Look:
    """Return a look that publishes an empty message on a topic without a subscriber."""
    return lambda: publisher.publish([TopicMessage(topic=PROBE_TOPIC, data={})])


def bucket_look(objects: Objects) -> Look:
    """Return a look for an object that need not exist."""
    return lambda: objects.find(PROBE_OBJECT)


def provider_look(provider: PaymentProvider, clock: Clock) -> Look:
    """Return a look that lists the events of one moment."""

    def look() -> None:
        now: Millis = clock.now()
        provider.notices(now, None, now)

    return look


def upstream_look(listing: ModelListing, upstream: str) -> Look:
    """Return a look that asks a model provider for the head of its listing."""
    return lambda: listing.reach(upstream)


def signing_look(ring: Callable[[], KeyRing], known: Callable[[], KeyRegistry | None], clock: Clock) -> Look:
    """Return a look that signs a text with a key in force, and verifies the signature.

    `known` returns the registry as this instance last read it, so that the look reads nothing; None if it read none.
    """

    def look() -> None:
        keys, registry, now = ring(), known(), clock.now()
        held = {key.kid: key for key in keys.held}
        named = {} if registry is None else {key.kid: key for key in registry.keys}
        in_force = [key for key in ({**held, **named}[kid] for kid in held) if key.rule_at(now) is None]
        if not in_force:
            raise NoSigningKey
        signature = keys.sign(CONTEXT, b"", in_force[0].kid)
        if not Verifier(in_force).is_signed(CONTEXT, b"", kid=in_force[0].kid, signature=signature):
            raise SignatureNotVerified

    return look


class SignatureNotVerified(Exception):
    """A new signature does not fit the public key that the registry names."""


def app_check_look(identity: Identity) -> Look:
    """Return a look that makes the identity provider's adapter fetch the public keys of App Check."""

    def look() -> None:
        try:
            identity.verify_app_check(PROBE_TOKEN)
        except AppCheckFailed:
            return

    return look
