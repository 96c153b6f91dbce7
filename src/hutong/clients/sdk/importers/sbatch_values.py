"""Reads the values of sbatch's options: times, sizes, numbers of nodes, cards, signals."""

import re
from dataclasses import dataclass

UNLIMITED = 0
_TIME = re.compile(r"(?a)(?:(?P<days>\d+)-)?(?P<first>\d+)?(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
_SIZE = re.compile(r"(?a)(\d{1,12})\s*(?:([KMGT])B?)?", re.IGNORECASE)
_COUNT = re.compile(r"(?a)(\d{1,9})([kmg])?", re.IGNORECASE)
_WHOLE = re.compile(r"(?a)\d{1,9}")
_SIGNAL = re.compile(r"(?a)(?:[RB]{1,2}:)?(?P<name>[A-Za-z0-9]+)(?:@(?P<seconds>\d{1,5}))?")
_SHARES = frozenset({"shard", "mps"})
_SLICE = re.compile(r"\d+g\.\d+gb", re.IGNORECASE)
_THOUSANDS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_MEGABYTES = {"K": 0, "M": 1, "G": 1024, "T": 1024**2}

# What cards are called as generic resources, and who makes them.
CARD_VENDORS = {
    "gpu": "NVIDIA", "npu": "Huawei", "ascend": "Huawei", "mlu": "Cambricon", "dcu": "Hygon",
    "gcu": "Enflame", "xpu": "Kunlunxin", "ppu": "T-Head", "sdaa": "Tecorigin", "hpu": "Intel",
}  # fmt: skip


class BadValue(Exception):
    """A value that sbatch would not take, or that means nothing here: why, and what would be right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Cards:
    """Cards of one kind: `device` is what Slurm calls them, `model` is empty if the script does not say."""

    device: str
    model: str
    number: int


@dataclass(frozen=True, slots=True)
class Nodes:
    """The least number of nodes; `exact` says that no other number will do."""

    least: int
    exact: bool


def read_minutes(text: str) -> int:
    """Return a time limit in minutes, `UNLIMITED` for none; seconds are rounded up, as Slurm does."""
    if text.upper() in {"UNLIMITED", "INFINITE", "-1"}:
        return UNLIMITED
    match = _TIME.fullmatch(text)
    if match is None or not text or not text[0].isdigit():
        raise BadValue(f"{text[:40]!r} is no time", "minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS")
    first, second, third = (int((match[name] or "0")[:9]) for name in ("first", "second", "third"))
    if match["days"] is not None:
        seconds = int(match["days"][:9]) * 86_400 + first * 3600 + second * 60 + third
    elif match["third"] is not None:
        seconds = first * 3600 + second * 60 + third
    else:
        seconds = first * 60 + second
    return -(-seconds // 60)


def read_megabytes(text: str) -> int:
    """Return memory in units of 2^20 bytes; kilobytes are rounded up."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadValue(f"{text[:40]!r} is no size", "a whole number with K, M, G or T, like 64G")
    number, unit = int(match[1]), (match[2] or "M").upper()
    return -(-number // 1024) if unit == "K" else number * _MEGABYTES[unit]


def write_megabytes(megabytes: int) -> str:
    """Return memory as the job file writes it."""
    for unit, size in (("TiB", 1024**2), ("GiB", 1024)):
        if megabytes % size == 0:
            return f"{megabytes // size}{unit}"
    return f"{megabytes}MiB"


def write_minutes(minutes: int) -> str:
    """Return a duration as the job file writes it."""
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes % size == 0:
            return f"{minutes // size}{unit}"
    return f"{minutes}m"


def read_number(text: str) -> int:
    """Return a whole number from 1 on."""
    if not _WHOLE.fullmatch(text) or int(text) < 1:
        raise BadValue(f"{text[:40]!r} is no number", "a whole number from 1 on")
    return int(text)


def read_nodes(text: str) -> Nodes:
    """Return the nodes of `4`, `2-4`, `1k` or a list of numbers (`1,2,4`, `2-8:2`)."""
    numbers: list[int] = []
    for part in text.split(","):
        for end in part.partition(":")[0].split("-"):
            match = _COUNT.fullmatch(end)
            if match is None:
                raise BadValue(f"{text[:40]!r} is no number of nodes", "like 4 or 2-4")
            numbers.append(int(match[1]) * _THOUSANDS[(match[2] or "").lower()])
    if min(numbers) < 1 or numbers != sorted(numbers):
        raise BadValue(f"{text[:40]!r} is no number of nodes", "from 1 on, the smaller first, like 2-4")
    return Nodes(numbers[0], exact=numbers[0] == numbers[-1])


def read_gres(text: str) -> tuple[Cards | None, tuple[str, ...]]:
    """Return the cards of a list of generic resources, and what else stands in it."""
    found: list[Cards] = []
    others: list[str] = []
    for item in filter(None, (each.strip() for each in text.split(","))):
        if item.casefold() in {"none", "help"}:
            continue
        device, *rest = _parts(item)
        if device.casefold() in _SHARES:
            raise BadValue(
                f"{item[:40]!r} is a share of a card", "ask for a whole one: cards are not divided"
            )
        if device.casefold() in CARD_VENDORS:
            found.append(_cards(device.casefold(), rest, item))
        else:
            others.append(item)
    return one_kind(found, text), tuple(others)


def read_cards(text: str) -> Cards | None:
    """Return the cards of `[TYPE:]NUMBER`, as --gpus and its like have them."""
    items = [each for each in (each.strip() for each in text.split(",")) if each]
    return one_kind([_cards("gpu", _parts(each), each) for each in items], text)


def _parts(item: str) -> list[str]:
    """Return `gpu`, `a100`, `4` of `gpu:a100:4`, `gres/gpu:a100=4`, `gpu:a100:4(S:0-1)`, `gpu:a100:4:S:0`."""
    bare = re.sub(r"\(.*\)$", "", item)
    parts = re.split("[:=]", re.sub(r"^gres[:/]", "", bare, flags=re.IGNORECASE))
    sockets = next((index for index, each in enumerate(parts) if index and each in {"S", "s"}), len(parts))
    return parts[:sockets]


def _cards(device: str, rest: list[str], item: str) -> Cards:
    number = 1
    if rest and (match := _COUNT.fullmatch(rest[-1])):
        number = int(match[1]) * _THOUSANDS[(match[2] or "").lower()]
        rest = rest[:-1]
    if len(rest) > 1 or "" in rest:
        raise BadValue(f"{item[:40]!r} names no cards", "NAME:TYPE:NUMBER, like gpu:h100:8")
    model = rest[0] if rest else ""
    if _SLICE.search(model):
        raise BadValue(f"{item[:40]!r} is a slice of a card", "ask for a whole one: cards are not divided")
    return Cards(device, model.replace("_", "-"), number)


def one_kind(found: list[Cards], text: str) -> Cards | None:
    """Return the cards if they are all of one kind; a node of a job cannot have two."""
    if len(found) > 1:
        hint = "one model for a job; `accelerators: {H100: 8, A100: 8}` means any of them"
        raise BadValue(f"{text[:60]!r} asks for cards of two kinds at once", hint)
    return found[0] if found and found[0].number else None


def read_signal(text: str) -> tuple[str, int]:
    """Return the signal's name without SIG, and how many seconds before the end it comes (60 if not said)."""
    match = _SIGNAL.fullmatch(text)
    if match is None or int(match["seconds"] or 0) > 65_535:
        raise BadValue(f"{text[:40]!r} is no signal", "[B:]NAME[@SECONDS], like B:USR1@120")
    return match["name"].upper().removeprefix("SIG"), int(match["seconds"] or 60)
