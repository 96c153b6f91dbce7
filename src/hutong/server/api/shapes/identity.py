"""Identity providers and identities as the wire shows them: never a secret."""

from hutong.core.accounts import identities as r
from hutong.wire import identity as w
from hutong.wire.base import rfc3339


def issuer_shape(portal: str, issuer: r.Issuer) -> w.Issuer:
    """Return a provider as its operator sees it, with the addresses that it must be told."""
    return w.Issuer(
        id=issuer.id,
        url=issuer.url,
        client_id=issuer.client_id,
        has_secret=bool(issuer.sealed),
        institution=issuer.institution,
        name_zh=issuer.name_zh,
        name_en=issuer.name_en,
        name_claim=issuer.name_claim,
        creates=issuer.creates,
        multi_factor=issuer.multi_factor,
        scim=issuer.scim,
        redirect=f"{portal}/sign-in/with/{issuer.id}/back",
        logout=f"{portal}/v1/issuers/{issuer.id}/logout",
    )


def issuer_name_shape(issuer: r.Issuer) -> w.IssuerName:
    """Return a provider as the sign-in page offers it."""
    return w.IssuerName(id=issuer.id, name_zh=issuer.name_zh, name_en=issuer.name_en)


def identity_shape(key: str, identity: r.Identity) -> w.Identity:
    """Return an identity as its owner sees it."""
    return w.Identity(
        id=key,
        issuer=identity.issuer,
        subject=identity.subject,
        label=identity.label,
        created=rfc3339(identity.created_ms),
    )
