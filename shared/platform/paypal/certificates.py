"""Certificates that PayPal signs webhooks with: their addresses, their chains, and the authorities that are trusted."""

import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from shared.kernel.clock import Clock
from shared.kernel.documents import Create, Documents, PreconditionFailed
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.payments.ports import WebhookNotConfigured, WebhookRefused
from shared.platform.paypal.addresses import LIVE_HOSTS, SANDBOX_HOSTS, is_loopback
from shared.platform.paypal.slots import Slots

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
PATH = re.compile(r"/v1/notifications/certs/[A-Za-z0-9_-]{1,128}", re.ASCII)
AUTHORITIES = Path(__file__).with_name("authorities.pem")
SIGNER = "messageverificationcerts.paypal.com"
SIGNER_OF_SANDBOX = "messageverificationcerts.sandbox.paypal.com"
KEY_BITS_MIN = 2_048
CHAIN_MAX = 6
CACHED_MAX = 16
FETCHES_PER_MINUTE = 30
"""Limit for addresses that no verified notice has named yet. Verified chains are stored and need no fetch."""
COLLECTION = "webhook_certificates"

Fetch = Callable[[str], bytes]
"""Function that fetches a certificate from an address.

Raises WebhookRefused if there are no bytes or too many, ProviderUnavailable if the address is not reached.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Certificate address, and True in `is_live` if its certificate signs notices about real money."""

    url: str
    is_live: bool

    @property
    def signer(self) -> str:
        """Return the host name that the certificate must bear."""
        return SIGNER if self.is_live else SIGNER_OF_SANDBOX


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateChain:
    """Served certificates: the signer's own, and the intermediates on the way to a root."""

    leaf: x509.Certificate
    between: Sequence[x509.Certificate]


def source_of(url: str, api_base: str) -> Source:
    """Return the source of the certificate that the header names.

    Raises WebhookRefused unless the address is exactly one of PayPal's. If `api_base` is a stand-in on this machine,
    the certificate is fetched from the stand-in only.
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


def parse_chain(pem: bytes) -> CertificateChain:
    """Parse a PEM bundle, the leaf first. Raises WebhookRefused if the bytes are no chain or the chain is too long."""
    try:
        leaf, *between = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise WebhookRefused("certificate") from None
    if len(between) >= CHAIN_MAX:
        raise WebhookRefused("certificate")
    return CertificateChain(leaf=leaf, between=between)


def leaf_key(leaf: x509.Certificate, name: str, times: Sequence[datetime]) -> rsa.RSAPublicKey:
    """Return the key of a certificate that bears `name` and is valid at each of `times`.

    The issuer is not checked. Raises WebhookRefused.
    """
    key = leaf.public_key()
    is_valid = all(leaf.not_valid_before_utc <= time <= leaf.not_valid_after_utc for time in times)
    if not is_valid or name not in _names(leaf) or not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise WebhookRefused("certificate")
    return key


def _names(leaf: x509.Certificate) -> Sequence[str]:
    try:
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except (x509.ExtensionNotFound, ValueError):
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """Trusted roots, and intermediates for chains that are served without intermediates."""

    roots: verification.Store
    between: Sequence[x509.Certificate]

    def vouch_for(self, chain: CertificateChain, name: str, times: Sequence[datetime]) -> bool:
        """Return True if the chain leads to a root by the rules for TLS servers, at each of `times`."""
        for time in times:
            policy = verification.PolicyBuilder().store(self.roots).time(time)
            verifier = policy.build_server_verifier(x509.DNSName(name))
            try:
                verifier.verify(chain.leaf, [*chain.between, *self.between])
            except verification.VerificationError:
                return False
        return True


def load_authorities(path: str) -> Authorities:
    """Read the authorities in the file at `path`; if `path` is empty, the public roots and PayPal's known authorities.

    Self-issued certificates are roots, the others intermediates. Raises OSError, and ValueError for a file without a
    root.
    """
    if path:
        found = list(_readable(Path(path).read_bytes()))
    else:
        import certifi

        found = [*_readable(Path(certifi.where()).read_bytes()), *_readable(AUTHORITIES.read_bytes())]
    return Authorities(
        roots=verification.Store([each for each in found if each.issuer == each.subject]),
        between=[each for each in found if each.issuer != each.subject],
    )


def _readable(bundle: bytes) -> Iterator[x509.Certificate]:
    """Yield every certificate that can be read.

    Others are skipped: public bundles carry old certificates that are invalid today.
    """
    for pem in PEM.findall(bundle):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = x509.load_pem_x509_certificate(pem)
        except ValueError:
            continue
        yield found


class Certificates:
    """Cache of chains by address.

    Chains of verified notices are stored, others are fetched. Safe to share between threads.
    """

    def __init__(self, fetch: Fetch, authorities: str, clock: Clock, documents: Documents) -> None:
        self._fetch = fetch
        self._authorities_path = authorities
        self._documents = documents
        self._slots = Slots(clock, FETCHES_PER_MINUTE)
        self._lock = threading.Lock()
        self._authorities: Authorities | None = None
        self._verified: OrderedDict[str, CertificateChain] = OrderedDict()
        self._unverified: OrderedDict[str, CertificateChain] = OrderedDict()

    def chain(self, source: Source) -> CertificateChain:
        """Return the chain at this address. Raises WebhookRefused, ProviderUnavailable."""
        with self._lock:
            known = self._verified.get(source.url) or self._unverified.get(source.url)
        if known is not None:
            return known
        stored = self._stored(source)
        if stored is not None:
            self._keep(self._verified, source, stored)
            return stored
        self._slots.take()
        fetched = parse_chain(self._fetch(source.url))
        self._keep(self._unverified, source, fetched)
        return fetched

    def are_vouched_for(self, chain: CertificateChain, source: Source, times: Sequence[datetime]) -> bool:
        """Return True if the chain leads to a trusted root. Raises WebhookNotConfigured if no roots can be read."""
        return self._trusted().vouch_for(chain, source.signer, times)

    def remember(self, source: Source, chain: CertificateChain) -> None:
        """Store the chain of a verified notice, so that later notices need no fetch. Never raises."""
        with self._lock:
            is_known = source.url in self._verified
            self._unverified.pop(source.url, None)
        self._keep(self._verified, source, chain)
        if is_known:
            return
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in (chain.leaf, *chain.between))
        try:
            self._documents.commit([Create(_path(source), {"url": source.url, "pem": pem})])
        except PreconditionFailed:
            pass
        except DomainError as error:
            log("webhook_certificate_not_stored", "WARNING", code=error.code)

    def _trusted(self) -> Authorities:
        with self._lock:
            if self._authorities is None:
                try:
                    self._authorities = load_authorities(self._authorities_path)
                except (OSError, ValueError) as error:
                    log("webhook_roots_unreadable", "CRITICAL", kind=type(error).__name__)
                    raise WebhookNotConfigured from None
            return self._authorities

    def _stored(self, source: Source) -> CertificateChain | None:
        try:
            found = self._documents.get(_path(source))
        except DomainError as error:
            log("webhook_certificate_not_read", "WARNING", code=error.code)
            return None
        return None if found is None else parse_chain(bytes(found.data["pem"]))  # type: ignore[arg-type]  # ours

    def _keep(self, chains: OrderedDict[str, CertificateChain], source: Source, chain: CertificateChain) -> None:
        with self._lock:
            chains[source.url] = chain
            chains.move_to_end(source.url)
            while len(chains) > CACHED_MAX:
                chains.popitem(last=False)


def _path(source: Source) -> str:
    return f"{COLLECTION}/{sha256(source.url.encode()).hexdigest()[:32]}"
