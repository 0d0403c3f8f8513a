"""Test authority like the one behind PayPal's webhook certificates: a root, an intermediate, and issued leaves."""

import functools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SIGNER = "messageverificationcerts.sandbox.paypal.com"
PATH = "/v1/notifications/certs/"
KEY_BITS = 2048
EXPONENT = 65537
AUTHORITY_DAYS = 3650
LEAF_DAYS = 365
USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
Bearer = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
ORGANISATION = "Stand-in for tests"


@functools.cache
def _key(_number: int) -> rsa.RSAPrivateKey:
    """Keys take time to make, so that a process makes each once."""
    return rsa.generate_private_key(public_exponent=EXPONENT, key_size=KEY_BITS)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Certificate with its key, and the served chain: the certificate first, without the root."""

    id: str
    key: rsa.RSAPrivateKey
    chain: str

    @property
    def path(self) -> str:
        return f"{PATH}{self.id}"

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message` by RSA with SHA-256 and PKCS #1 v1.5, as `SHA256withRSA` says."""
        return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())


class Authority:
    """Certificate authority with a root and an intermediate.

    A certificate of one authority is not valid for another.
    """

    def __init__(self, root: x509.Certificate, intermediate: x509.Certificate, keys: tuple[int, int]) -> None:
        self._root = root
        self._intermediate = intermediate
        self._keys = keys

    @classmethod
    def make(cls, name: str, *, keys: tuple[int, int], now: datetime | None = None) -> Self:
        """Build an authority named `name`.

        `keys` are the numbers of this process's keys for the root and the intermediate.

        Authorities that share a key number share the key. The certificates are valid from a day before `now` (None: the
        clock).
        """
        since = (now or datetime.now(UTC)) - timedelta(days=1)
        until = since + timedelta(days=AUTHORITY_DAYS)
        root = _authority(f"{name} Root CA", None, keys[0], keys[0], (since, until), depth=1)
        intermediate = _authority(f"{name} Issuing CA", root, keys[1], keys[0], (since, until), depth=0)
        return cls(root, intermediate, keys)

    @property
    def root_pem(self) -> str:
        """Return the root certificate of this authority."""
        return _pem(self._root)

    @property
    def authorities_pem(self) -> str:
        """Return the root and the intermediate, which a verifier needs beside a leaf that is served alone."""
        return _pem(self._root) + _pem(self._intermediate)

    def has_issued(self, chain: str, name: str) -> bool:
        """Return True if the first certificate of `chain` is valid now, bears `name` and comes from this authority."""
        leaf = x509.load_pem_x509_certificate(chain.encode())
        policy = verification.PolicyBuilder().store(verification.Store([self._root]))
        try:
            policy.build_server_verifier(x509.DNSName(name)).verify(leaf, [self._intermediate])
        except verification.VerificationError:
            return False
        return True

    def issue(
        self,
        *,
        common_name: str = SIGNER,
        names: list[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        is_chain_whole: bool = False,
        is_authority: bool = False,
        usages: Sequence[x509.ObjectIdentifier] = USAGES,
        key: int | Bearer = 2,
    ) -> Certificate:
        """Issue a certificate for signing webhooks: by default a good one, valid for a year from yesterday.

        names: the DNS names; None for the common name. `is_chain_whole` adds the intermediate; otherwise the leaf is
        served alone, as PayPal has done. key: the key of this process that the certificate vouches for, or a key that
        does not sign.
        """
        starts = since or datetime.now(UTC) - timedelta(days=1)
        own = _key(key if isinstance(key, int) else 2)
        dns = [x509.DNSName(name) for name in ([common_name] if names is None else names)]
        builder = (
            _begun(
                common_name,
                self._intermediate.subject,
                own.public_key() if isinstance(key, int) else key,
                starts,
                until or starts + timedelta(LEAF_DAYS),
            )
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(_usage(is_authority=is_authority), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_issued_by(self._intermediate), critical=False)
        )
        if dns:
            builder = builder.add_extension(x509.SubjectAlternativeName(dns), critical=False)
        leaf = builder.sign(_key(self._keys[1]), hashes.SHA256())
        chain = _pem(leaf) + (_pem(self._intermediate) if is_chain_whole else "")
        return Certificate(id=f"CERT-{secrets.token_hex(4)}-{secrets.token_hex(4)}", key=own, chain=chain)


def _begun(
    name: str,
    issuer: x509.Name,
    key: Bearer,
    since: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(
    name: str,
    issuer: x509.Certificate | None,
    key: int,
    signing: int,
    valid: tuple[datetime, datetime],
    *,
    depth: int,
) -> x509.Certificate:
    builder = (
        _begun(name, _name(name) if issuer is None else issuer.subject, _key(key).public_key(), *valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
    )
    if issuer is not None:
        builder = builder.add_extension(_issued_by(issuer), critical=False)
    return builder.sign(_key(signing), hashes.SHA256())


def _issued_by(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


@functools.cache
def authority() -> Authority:
    """Return the authority of the stand-in PayPal, one for each process."""
    return Authority.make("Stand-in", keys=(0, 1))


@functools.cache
def stranger() -> Authority:
    """Return an authority that looks the same and that nobody trusts."""
    return Authority.make("Stand-in", keys=(3, 4))
