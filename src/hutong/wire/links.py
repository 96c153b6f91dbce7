"""Links between centres: JSON shapes."""

from typing import Annotated

from pydantic import Field

from hutong.wire.base import Shape

End = Annotated[
    str,
    Field(
        pattern=r"^(platform|site/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|region/[^|\x00-\x1f\x7f]{1,100})$",
        examples=["platform", "site/beijing-a", "region/Beijing"],
    ),
]


class NewLink(Shape):
    """What joins two ends, both ways: `platform` (its own store), `site/ID` or `region/NAME`.

    A region joined to itself says how its centres hang on it. `bits_per_s`: what the platform's jobs may take
    together; `rtt_us`: a round trip, shown only; `source`: where the figures are from.
    """

    one: End
    other: End
    bits_per_s: Annotated[int, Field(ge=1_000, le=1_000_000_000_000_000)]
    rtt_us: Annotated[int, Field(ge=0, le=60_000_000)] = 0
    source: Annotated[str, Field(min_length=1, max_length=500)]
    synthetic: bool = False


class Link(NewLink):
    """A link as it is declared; the smaller name of an end comes first."""

    id: str
