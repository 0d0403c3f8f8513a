"""Cloud KMS: keys that sign with Ed25519, their versions and states. The secrets live as long as the stand-in."""

import base64
import secrets

import google_crc32c
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import failed_precondition, invalid
from emulator.stand_ins.google.state import Project, now_text
from emulator.stand_ins.wire import Json, copied

ED25519 = "EC_SIGN_ED25519"
DATA_BYTES_MAX = 64 << 10
KEYS = "projects.locations.keyRings.cryptoKeys"
VERSION_STATES = ("ENABLED", "DISABLED")


@serves("cloudkms.v1 projects.locations.keyRings.create", needs="cloudkms.keyRings.create")
def create_ring(call: Call) -> Json:
    name = f"{call.resource.removesuffix('/keyRings')}/keyRings/{call.query.get('keyRingId', '')}"
    return call.table("KeyRing").add(name, {"createTime": now_text()})


@serves(f"cloudkms.v1 {KEYS}.create", needs="cloudkms.cryptoKeys.create")
def create_key(call: Call) -> Json:
    """Create a key that signs, with the first version."""
    ring = call.resource.removesuffix("/cryptoKeys")
    call.table("KeyRing").find(ring)
    if call.body.get("purpose") != "ASYMMETRIC_SIGN":
        raise invalid("The stand-in serves keys of the purpose ASYMMETRIC_SIGN alone.", field="crypto_key.purpose")
    template = call.body.get("versionTemplate") or {}
    if template.get("algorithm") != ED25519:
        raise invalid(f"The stand-in serves the algorithm {ED25519} alone.", field="crypto_key.version_template")
    name = f"{ring}/cryptoKeys/{call.query.get('cryptoKeyId', '')}"
    made = call.table("CryptoKey").add(name, {**call.body, "createTime": now_text()})
    put_key_version(call.project, f"{name}/cryptoKeyVersions/1")
    return made


def put_key_version(project: Project, name: str, seed: bytes | None = None) -> bytes:
    """Make an enabled version with this seed, or a random one. Return the 32 bytes of the public key."""
    seed = seed or secrets.token_bytes(32)
    now = now_text()
    version = {"algorithm": ED25519, "protectionLevel": "SOFTWARE", "state": "ENABLED", "createTime": now}
    project.table("CryptoKeyVersion")[name] = {"name": name, **version}
    project.payloads[name] = seed
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


@serves(f"cloudkms.v1 {KEYS}.cryptoKeyVersions.get", needs="cloudkms.cryptoKeyVersions.get")
def get_version(call: Call) -> Json:
    return copied(call.table("CryptoKeyVersion").find(call.resource))


@serves(f"cloudkms.v1 {KEYS}.cryptoKeyVersions.patch", needs="cloudkms.cryptoKeyVersions.update")
def patch_version(call: Call) -> Json:
    if call.body.get("state") not in VERSION_STATES:
        raise invalid("Only the states ENABLED and DISABLED can be set.", field="crypto_key_version.state")
    return copied(call.patched(call.table("CryptoKeyVersion").find(call.resource), allowed=("state",)))


@serves(f"cloudkms.v1 {KEYS}.cryptoKeyVersions.getPublicKey", needs="cloudkms.cryptoKeyVersions.viewPublicKey")
def get_public_key(call: Call) -> Json:
    name = call.resource.removesuffix("/publicKey")
    private = _private(call, name)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "name": name,
        "pem": pem.decode(),
        "pemCrc32c": str(google_crc32c.value(pem)),
        "algorithm": ED25519,
        "protectionLevel": "SOFTWARE",
    }


@serves(f"cloudkms.v1 {KEYS}.cryptoKeyVersions.asymmetricSign", needs="cloudkms.cryptoKeyVersions.useToSign")
def sign(call: Call) -> Json:
    """Sign the data themselves: pure Ed25519 takes no digest."""
    private = _private(call, call.resource)
    if "digest" in call.body or "data" not in call.body:
        raise invalid(f"The algorithm {ED25519} requires data, not a digest.", field="data")
    data = base64.b64decode(call.body["data"])
    if len(data) > DATA_BYTES_MAX:
        raise invalid(f"The data are {len(data)} bytes long; at most {DATA_BYTES_MAX} are allowed.", field="data")
    checksum = call.body.get("dataCrc32c")
    if checksum is not None and int(checksum) != google_crc32c.value(data):
        raise invalid("The checksum in field data_crc32c did not match the data in field data.", field="data_crc32c")
    signature = private.sign(data)
    return {
        "name": call.resource,
        "signature": base64.b64encode(signature).decode(),
        "signatureCrc32c": str(google_crc32c.value(signature)),
        "verifiedDataCrc32c": checksum is not None,
        "protectionLevel": "SOFTWARE",
    }


def _private(call: Call, name: str) -> Ed25519PrivateKey:
    """Return the key of an enabled version. Raises NOT_FOUND and FAILED_PRECONDITION in Google's words."""
    version = call.table("CryptoKeyVersion").find(name)
    if version["state"] != "ENABLED":
        raise failed_precondition(f"{name} is not enabled, current state is: {version['state']}.")
    return Ed25519PrivateKey.from_private_bytes(call.project.payloads[name])
