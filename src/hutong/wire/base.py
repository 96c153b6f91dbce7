"""What all shapes share: strict models, RFC 3339 times, money as decimal strings, pages, problems."""

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from hutong.core.kernel.money import CURRENCY, format_micro

Item = TypeVar("Item")


def rfc3339(at_ms: int) -> str:
    """Return a UTC millisecond as RFC 3339 with `Z`."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> int:
    """Return the UTC millisecond of an RFC 3339 time; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, such as Z")
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 1000 + moment.microsecond // 1000


Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Ulid = Annotated[str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Time = Annotated[str, PlainSerializer(lambda text: text), Field(examples=["2026-11-22T08:00:00.000Z"])]


class Shape(BaseModel):
    """Base of every shape: unknown fields are refused, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Money(Shape):
    """An amount: decimal string and ISO 4217 code."""

    amount: Annotated[str, Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$", examples=["12.500000"])]
    currency: Annotated[str, Field(pattern=r"^CNY$")] = CURRENCY

    @classmethod
    def of(cls, amount_micro: int) -> "Money":
        """Return the shape of an amount in micro-yuan."""
        return cls(amount=format_micro(amount_micro))


class Page(Shape, Generic[Item]):
    """One page of a list; `next` is an opaque cursor, empty on the last page."""

    items: tuple[Item, ...]
    next: str = ""


class FieldProblem(Shape):
    """One thing wrong with a document; `path` is a JSON pointer."""

    path: str
    message: str
    hint: str = ""


class ProblemReport(Shape):
    """RFC 9457 problem details; `code` is stable, texts are for people."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str = ""
    problems: tuple[FieldProblem, ...] = ()
