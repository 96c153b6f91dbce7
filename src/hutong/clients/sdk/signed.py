"""Whether a published report is what was published: checked without asking anybody."""

import json
from hashlib import sha256

from hutong.core.kernel.chain import canonical
from hutong.wire.reports import Publication


def faults_of(found: Publication, public_key: str = "") -> tuple[str, ...]:
    """Return what is wrong with a published report; nothing if it is what `public_key` (hex) signed.

    Without one, the key that it names is taken: then it is whole, and nobody knows by whom.
    """
    from cryptography.exceptions import InvalidSignature  # agents, which share the command line, do without
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    edition, body = found.edition, found.body.encode()
    faults = []
    if f"sha256:{sha256(body).hexdigest()}" != edition.digest:
        faults.append("the body has another digest: it was changed")
    if public_key and public_key != edition.public_key:
        faults.append("it names another key than the one that was given")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key or edition.public_key))
        key.verify(bytes.fromhex(edition.signature), body)
    except (InvalidSignature, ValueError):
        faults.append("the signature is not that of the key over this body")
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or canonical(document) != body:
        return (*faults, "the body is no canonical JSON")
    named = {
        "number": edition.number,
        "replaces": edition.replaces,
        "note": edition.note,
        "published": edition.published,
    }
    report = document.get("report")
    inside = report if isinstance(report, dict) else {}
    named |= {"kind": edition.kind, "start": edition.start, "end": edition.end}
    told = {name: document.get(name, inside.get(name)) for name in named}
    faults += [f"the body says another {name}" for name, value in named.items() if told[name] != value]
    return tuple(faults)
