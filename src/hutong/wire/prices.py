"""Price books and what is in them: JSON shapes."""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Money, Shape, Slug, Time

Kind = Literal["university", "research", "sme", "startup", "enterprise", "government", "operator"]
SkuText = Annotated[str, Field(min_length=1, max_length=200, examples=["card:H100@haidian/main"])]
PriceId = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.[0-9a-z]{26}$")]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?$", examples=["1000"])]


class PriceBook(Shape):
    """Whom prices are for: kinds of institutions, single ones, or with neither everybody."""

    id: Slug
    title: Annotated[str, Field(max_length=200)] = ""
    kinds: Annotated[tuple[Kind, ...], Field(max_length=7)] = ()
    institutions: Annotated[tuple[Slug, ...], Field(max_length=200)] = ()


class PriceTier(Shape):
    """What a unit costs beyond `above` units that the project has used in the month.

    Storage is booked at it at once; cards and tokens are moved to it when the month is closed.
    """

    above: Amount
    amount: Money


class NewPrice(Shape):
    """A price for a card-hour, a million tokens, a request or a GB-day in `[starts, ends)`.

    It starts now where nothing else is said, and has no end. With `replace` the price that is in force when
    it starts ends then.
    """

    book: Slug
    sku: SkuText
    amount: Money
    starts: Time | None = None
    ends: Time | None = None
    tiers: Annotated[tuple[PriceTier, ...], Field(max_length=20)] = ()
    reason: Text
    replace: bool = False


class EndPrice(Shape):
    """When a price ends; now where nothing is said."""

    ends: Time | None = None


class Price(Shape):
    """A price as it is kept. `unit` is what `amount` is for; `by` set it at `set`."""

    id: PriceId
    book: Slug
    sku: str
    unit: Literal["card-hour", "million tokens", "request", "GB-day"]
    amount: Money
    tiers: tuple[PriceTier, ...]
    starts: Time
    ends: Time | None
    state: Literal["future", "in-force", "ended"]
    reason: str
    by: str
    set: Time


class PriceTimeline(Shape):
    """The prices of one thing in one book, in the order of time; no two are ever in force at once."""

    book: Slug
    sku: str
    prices: tuple[Price, ...]


class PaidPrice(Shape):
    """What a project pays for a card-hour of a pool, and by which book; empty for the pool's own price."""

    site: Slug
    pool: Slug
    accelerator: str
    list_price: Money
    price: Money
    book: str = ""
