"""Reads dstack's ways to say numbers, sizes and cards: `H100:2`, `24GB..`, `nvidia:A100,H100:40GB..:1..8`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hutong.clients.sdk.importers.draft import Card

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SIZE = re.compile(r"(?a)(\d{1,9})(?:\.(\d{1,3}))?\s*(MB|GB|TB)?", re.IGNORECASE)
_MB = {"MB": 1, "GB": 1024, "TB": 1024**2}
# Vendors by what dstack and its users call them, in the words of the catalogue.
_VENDORS = {
    "nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel", "google": "Google", "tpu": "Google",
    "tenstorrent": "Tenstorrent", "huawei": "Huawei", "cambricon": "Cambricon", "hygon": "Hygon",
    "enflame": "Enflame", "kunlunxin": "Kunlunxin", "moorethreads": "Moore Threads", "metax": "MetaX",
    "iluvatar": "Iluvatar", "biren": "Biren",
}  # fmt: skip


class BadAsk(Exception):
    """Something that dstack would not take either, or that cannot be asked for here: why, what would do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Least:
    """The lower end of a range; `exact` says that nothing else will do, `capped` that it has an upper end."""

    value: int
    exact: bool = False
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Gpu:
    """What is asked of the cards of a node; memory is in MiB, 0 where nothing is said."""

    vendor: str = ""
    names: tuple[str, ...] = ()
    memory: Least = Least(0)
    count: Least = Least(1, exact=True)
    ignored: tuple[str, ...] = ()


def read_count(value: object, what: str) -> Least:
    """Return a number or a range of numbers."""
    return _range(value, what, _whole)


def read_size(value: object, what: str) -> Least:
    """Return a size or a range of sizes in MiB; a bare number is GB."""
    return _range(value, what, _megabytes)


def _range(value: object, what: str, read: Callable[[str, str], int]) -> Least:
    if isinstance(value, Mapping):
        low, high = value.get("min"), value.get("max")
    elif isinstance(value, str) and ".." in value:
        low, _, high = value.replace(" ", "").partition("..")
    else:
        low = high = value
    low, high = ("" if each is None else each for each in (low, high))
    if low == "" and high == "":
        raise BadAsk(f"{what} says nothing", "a number, or a range like 2.. or 2..8")
    least = 0 if low == "" else read(_text(low, what), what)
    most = None if high == "" else read(_text(high, what), what)
    if most is not None and most < least:
        raise BadAsk(f"{what} ends before it begins", "the smaller number first, like 2..8")
    return Least(least, exact=most == least, capped=most is not None)


def _text(value: object, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadAsk(f"{what} is no number", "a number, or a range like 2.. or 2..8")
    return str(value)


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 6:
        raise BadAsk(f"{what}: {text[:40]!r} is no whole number", "like 2, 2.. or 2..8")
    return int(text)


def _megabytes(text: str, what: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadAsk(f"{what}: {text[:40]!r} is no size", "like 16GB, 16GB.. or 16GB..64GB")
    unit = _MB[(match[3] or "GB").upper()]
    return int(match[1]) * unit + int((match[2] or "").ljust(3, "0")) * unit // 1000


def read_gpu(value: object) -> Gpu:
    """Return what `resources.gpu` asks for: a number, a shorthand of up to four parts, or a mapping."""
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadAsk("names no cards", "like H100:8, 24GB.. or a mapping with name, memory, count")
    gpu, told = Gpu(), set()
    for token in str(value).replace(" ", "").split(":"):
        part, gpu = _take(token, gpu)
        if part in told:
            raise BadAsk(f"{str(value)[:60]!r} says the {part} twice", "like nvidia:A100,H100:40GB..:8")
        told.add(part)
    return gpu


def _take(token: str, gpu: Gpu) -> tuple[str, Gpu]:
    """Return which part a token of the shorthand is, and the cards with it."""
    if not token:
        raise BadAsk("has an empty part between its colons", "like H100:8")
    if token.lower() in _VENDORS:
        return "vendor", replace(gpu, vendor=_VENDORS[token.lower()])
    if token[0].isalpha():
        return "name", replace(gpu, names=_names(token.split(",")))
    if any(letter.isalpha() for letter in token):
        return "memory", replace(gpu, memory=read_size(token, "gpu memory"))
    return "number", replace(gpu, count=read_count(token, "gpu count"))


def _of_mapping(value: Mapping[object, object]) -> Gpu:
    gpu, ignored = Gpu(), []
    for key, member in value.items():
        if member is None:
            continue
        match key:
            case "vendor":
                vendor = _VENDORS.get(str(member).lower())
                if vendor is None:
                    raise BadAsk(f"{str(member)[:40]!r} is no vendor", f"one of {', '.join(_VENDORS)}")
                gpu = replace(gpu, vendor=vendor)
            case "name":
                gpu = replace(gpu, names=_names(member if isinstance(member, list) else [member]))
            case "memory":
                gpu = replace(gpu, memory=read_size(member, "gpu memory"))
            case "count":
                gpu = replace(gpu, count=read_count(member, "gpu count"))
            case "total_memory" | "compute_capability":
                ignored.append(str(key))
            case _:
                raise BadAsk(f"there is no {str(key)[:40]!r} of a gpu", "vendor, name, memory, count")
    return replace(gpu, ignored=tuple(ignored))


def _names(values: Sequence[object]) -> tuple[str, ...]:
    names = [each.strip() for each in values if isinstance(each, str)]
    if not names or len(names) != len(values) or not all(_NAME.fullmatch(each) for each in names):
        raise BadAsk("a name of a gpu is no name", "like H100 or [A100, H100]")
    return tuple(dict.fromkeys(names))


def choose_cards(gpu: Gpu, catalogue: Sequence[Card]) -> tuple[str, ...]:
    """Return the models that will do; NVIDIA's, as dstack means it, if nothing names another vendor."""
    known = {card.model.casefold(): card for card in catalogue}
    if gpu.names:
        return tuple(
            name
            for name in gpu.names
            if (card := known.get(name.casefold())) is None or _large_enough(card, gpu)
        )
    vendor = gpu.vendor or "NVIDIA"
    return tuple(card.model for card in catalogue if card.vendor == vendor and _large_enough(card, gpu))


def _large_enough(card: Card, gpu: Gpu) -> bool:
    # Makers say GB and mean 2^30 or 10^9 bytes as they like: by the number on the box, then.
    return card.memory_bytes * 1024 >= gpu.memory.value * 10**9
