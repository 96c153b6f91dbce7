"""Reports that a site's agent seals into a chain, its keys, and checks of the chain: JSON shapes."""

from typing import Annotated

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
CardMs = Annotated[int, Field(ge=0, le=10**15)]
HOUR_MS = 3_600_000


class PoolSeen(Shape):
    """What an agent saw of a pool in an hour, in card-milliseconds.

    `up_card_ms` null: all cards as declared. `busy_card_ms` null: nothing counts
    there; else `method` says what does.
    """

    pool: Slug
    held_card_ms: CardMs
    up_card_ms: CardMs | None = None
    other_card_ms: CardMs = 0
    busy_card_ms: CardMs | None = None
    method: Annotated[str, Field(max_length=200)] = ""


class SealedHour(Shape):
    """A sealed report: an hour (since 1970, UTC, the site's clock) of which `seen_ms` were seen.

    `hash` is the SHA-256 of the canonical JSON of all the rest; `prev` that of the report before.
    """

    seq: Annotated[int, Field(ge=1, lt=1 << 53)]
    prev: Hex64
    site: Slug
    key: KeyId
    hour: Annotated[int, Field(ge=0, le=10**8)]
    seen_ms: Annotated[int, Field(ge=0, le=HOUR_MS)]
    pools: Annotated[tuple[PoolSeen, ...], Field(max_length=200)]
    hash: Hex64


class SealedDoc(Shape):
    """`text` is the canonical JSON of a SealedHour, `signature` Ed25519 over the bytes of its hash."""

    text: Annotated[str, Field(max_length=100_000)]
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class SealedIn(Shape):
    """Reports in the order of the chain; repeats are harmless."""

    reports: Annotated[tuple[SealedDoc, ...], Field(min_length=1, max_length=48)]


class SealedHead(Shape):
    """How far a site's chain goes; `seq` 0: nothing is sealed yet."""

    seq: int
    hash: Hex64


class NewSiteKey(Shape):
    """A public key of a site's agent: 32 bytes of Ed25519 in hex, as `hutong agent key` prints it."""

    public: Hex64


class SiteKey(NewSiteKey):
    """A key of a site. Reports under a retired one count if they came before."""

    id: KeyId
    registered: Time
    retired: Time | None = None


class SiteKeys(Shape):
    """The keys of a site."""

    items: tuple[SiteKey, ...]


class ChainFault(Shape):
    """What is wrong, and at which report."""

    seq: int
    text: str


class SealedCheck(Shape):
    """What a check of a site's chain found. `head` is where it ended; with `more`, go on from there.

    `unsigned` reports name a key that nobody registered: they are chained, and nobody knows who sealed them.
    """

    site: Slug
    reports: int
    signed: int
    unsigned: int
    head: str
    more: bool
    faults: tuple[ChainFault, ...]
