"""How values are shown: money, times, durations, sizes, shares; the exact value stays beside it."""

from datetime import datetime, timedelta, timezone

from markupsafe import Markup

from hutong.clients.portal.words import Words
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire.base import Money

# China keeps one time without summer time since 1991; no zone database is needed for it.
BEIJING = timezone(timedelta(hours=8))


def _grouped(text: str) -> str:
    whole, dot, part = text.partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}{dot}{part}"


def exact(money: Money | str) -> str:
    """Return an amount with every digit that says something, at least two decimals: `¥1,234.5678`."""
    text = money.amount if isinstance(money, Money) else money
    whole, _, part = text.partition(".")
    amount = _grouped(f"{whole}.{part.rstrip('0').ljust(2, '0')}")
    return f"-¥{amount[1:]}" if amount.startswith("-") else f"¥{amount}"


def money(value: Money | str) -> Markup:
    """Return an amount for reading: two decimals, or all where two would say nothing; exact on hover."""
    text = value.amount if isinstance(value, Money) else value
    return Markup('<data value="{}" title="{}">{}</data>').format(text, exact(value), rounded(value))


def rounded(value: Money | str) -> str:
    """Return an amount with two decimals; below one fen with all its digits."""
    micro = parse_micro(value.amount if isinstance(value, Money) else value)
    return exact(format_micro(micro, 2)) if abs(micro) >= 10_000 or not micro else exact(value)


def moment(text: str | None, *, seconds: bool = False) -> Markup:
    """Return an RFC 3339 time as Beijing time, with UTC on hover; a dash for none."""
    if not text:
        return Markup('<span class="none">–</span>')
    at = datetime.fromisoformat(text)
    local = at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
    title = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, title, local)


def between_ms(start: str, end: str) -> int:
    """Return the milliseconds from one RFC 3339 time to another."""
    span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(span.total_seconds() * 1000)


def duration(words: Words, total_ms: int) -> str:
    """Return a duration in its two largest units, to a tenth of a second below a minute."""
    if total_ms < 60_000:
        return words("time.s", n=f"{total_ms / 1000:.1f}" if total_ms >= 50 else "<0.1")
    seconds = round(total_ms / 1000)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{words('time.d', n=days)} {words('time.h', n=hours % 24)}"
    if hours:
        return f"{words('time.h', n=hours)} {words('time.min', n=minutes % 60)}"
    return f"{words('time.min', n=minutes)} {words('time.s', n=seconds % 60)}"


def size(total_bytes: int) -> str:
    """Return bytes in decimal units.

    >>> size(1_234_567)
    '1.23 MB'
    """
    value, units = float(total_bytes), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{total_bytes} B" if units[0] == "B" else f"{value:.3g} {units[0]}"


def plain(text: str) -> str:
    """Return a decimal number without needless zeros, in groups of three digits."""
    return _grouped(text.rstrip("0").rstrip(".") if "." in text else text)


def day(text: str) -> Markup:
    """Return the day of an RFC 3339 time in Beijing, with the moment in UTC on hover."""
    at = datetime.fromisoformat(text)
    title = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    local = at.astimezone(BEIJING).strftime("%Y-%m-%d")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, title, local)


def share(value_ppm: int) -> str:
    """Return parts per million as a percentage with one decimal."""
    return f"{value_ppm / 10_000:.1f} %"


def short_digest(digest: str) -> str:
    """Return the head of a digest, enough to compare by eye."""
    return digest.removeprefix("sha256:")[:12]
