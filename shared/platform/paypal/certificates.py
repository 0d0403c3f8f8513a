"""The certificates that PayPal signs its webhooks with: where they may come from, and whom they must lead to."""

import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import verification

from shared.kernel.clock import MINUTE, Clock, to_datetime
from shared.kernel.events import log
from shared.payments.ports import ProviderUnavailable, WebhookNotConfigured, WebhookRefused
from shared.platform.paypal.addresses import LIVE_HOSTS, SANDBOX_HOSTS, is_loopback

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
PATH = re.compile(r"/v1/notifications/certs/[A-Za-z0-9_-]{1,128}", re.ASCII)
SIGNER = "messageverificationcerts.paypal.com"
SIGNER_OF_SANDBOX = "messageverificationcerts.sandbox.paypal.com"
KEY_BITS_MIN = 2_048
CHAIN_MAX = 6
CACHED_MAX = 16
FETCHES_PER_MINUTE = 30
"""Whoever sends us made-up addresses makes us ask PayPal; known certificates are served without asking."""

Fetch = Callable[[str], bytes]
"""The bytes at this address. Raises WebhookRefused for none or too many, ProviderUnavailable if it is not reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An address that a certificate may be fetched from, and whose money it speaks of."""

    url: str
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A certificate, and those between it and a root, as they were served."""

    leaf: x509.Certificate
    between: Sequence[x509.Certificate]


def source_of(url: str, api_base: str) -> Source:
    """Where to fetch what the header names. Raises WebhookRefused unless that is PayPal, to the letter.

    With a stand-in on this machine, the stand-in has PayPal's certificates; then nobody else is asked.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise WebhookRefused("certificate_address") from None
    host = parts.netloc  # compared whole: no port, no user, no upper case, no other spelling
    is_theirs = parts.scheme == "https" and host in LIVE_HOSTS | SANDBOX_HOSTS and PATH.fullmatch(parts.path)
    if not is_theirs or url != f"https://{host}{parts.path}":
        raise WebhookRefused("certificate_address")
    asked = f"{api_base}{parts.path}" if is_loopback(api_base) else url
    return Source(url=asked, is_live=host in LIVE_HOSTS)


def parse_chain(pem: bytes) -> Chain:
    """Raises WebhookRefused for what is no chain of certificates."""
    try:
        leaf, *between = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise WebhookRefused("certificate") from None
    if len(between) >= CHAIN_MAX:
        raise WebhookRefused("certificate")
    return Chain(leaf=leaf, between=between)


def signer_key(chain: Chain, roots: verification.Store, name: str, times: Sequence[datetime]) -> rsa.RSAPublicKey:
    """The key of a certificate that leads to a root and bears this name, at each of these times.

    Raises WebhookRefused. The rules are those for TLS servers: names, dates, key usages, lengths of chains.
    """
    for time in times:
        policy = verification.PolicyBuilder().store(roots).time(time)
        verifier = policy.build_server_verifier(x509.DNSName(name))
        try:
            verifier.verify(chain.leaf, list(chain.between))
        except verification.VerificationError:
            raise WebhookRefused("certificate") from None
    key = chain.leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise WebhookRefused("certificate")
    return key


def load_roots(path: str) -> verification.Store:
    """The certificates in this file, or those that everybody trusts. Raises ValueError for a file without any."""
    if not path:
        import certifi

        path = certifi.where()
    return verification.Store([*_readable(Path(path).read_bytes())])


def _readable(bundle: bytes) -> Iterator[x509.Certificate]:
    """Every certificate that can be read: public bundles carry old ones that break the rules of today."""
    for pem in PEM.findall(bundle):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = x509.load_pem_x509_certificate(pem)
        except ValueError:
            continue
        yield found


class Certificates:
    """Chains by address, fetched once. Safe to share between threads."""

    def __init__(self, fetch: Fetch, roots: str, clock: Clock) -> None:
        self._fetch = fetch
        self._roots_path = roots
        self._clock = clock
        self._lock = threading.Lock()
        self._roots: verification.Store | None = None
        self._chains: OrderedDict[str, Chain] = OrderedDict()
        self._fetched_at: list[int] = []

    def key(self, source: Source, sent_at: int) -> rsa.RSAPublicKey:
        """The key that PayPal signs with. Raises WebhookRefused, ProviderUnavailable."""
        name = SIGNER if source.is_live else SIGNER_OF_SANDBOX
        times = [to_datetime(sent_at), to_datetime(self._clock.now())]
        return signer_key(self._chain(source.url), self._trusted(), name, times)

    def _trusted(self) -> verification.Store:
        with self._lock:
            if self._roots is None:
                try:
                    self._roots = load_roots(self._roots_path)
                except (OSError, ValueError) as error:
                    log("webhook_roots_unreadable", "CRITICAL", kind=type(error).__name__)
                    raise WebhookNotConfigured from None
            return self._roots

    def _chain(self, url: str) -> Chain:
        with self._lock:
            if url in self._chains:
                self._chains.move_to_end(url)
                return self._chains[url]
            self._count_fetch()
        chain = parse_chain(self._fetch(url))
        with self._lock:
            self._chains[url] = chain
            while len(self._chains) > CACHED_MAX:
                self._chains.popitem(last=False)
        return chain

    def _count_fetch(self) -> None:
        now = self._clock.now()
        self._fetched_at = [at for at in self._fetched_at if at > now - MINUTE]
        if len(self._fetched_at) >= FETCHES_PER_MINUTE:
            raise ProviderUnavailable("paypal")
        self._fetched_at.append(now)
