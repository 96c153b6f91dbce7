"""How busy cards are, in thousandths of each, of the texts that vendors' tools print.

Built from texts that vendors and users publish; never run against a card by us. A card of several dies, such
as the Ascend 910C, is as busy as its dies are on average. Outputs of several nodes may follow each other.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

_BUS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_NUMBER = re.compile(r"\d{1,3}")
_UTILISATION = "utilization.gpu"

Readings = tuple[int, ...]


def read_nvidia_smi(text: str) -> Readings:
    """Return how busy each GPU is, of `--query-gpu=...,utilization.gpu --format=csv`.

    Without a header it is the last column. A GPU whose utilisation is not told (`[N/A]`, as with MIG) is
    left out.
    """
    found: list[int] = []
    column = -1
    for line in text.splitlines():
        cells = [each.strip() for each in line.split(",")]
        names = [each.partition(" ")[0] for each in cells]
        if _UTILISATION in names:
            column = names.index(_UTILISATION)
        elif len(cells) > max(0, column) and (busy := _milli(cells[column].removesuffix("%"))) is not None:
            found.append(busy)
    return tuple(found)


def read_npu_smi(text: str) -> Readings:
    """Return how busy each NPU is, of the table of `npu-smi info`: the column AICore(%), over its chips."""
    found: list[list[int]] = []
    npu = last = ""
    for line in text.splitlines():
        cells = _cells(line)
        if cells and cells[0].lower().startswith(("npu-smi", "npu ")):
            last = ""  # another table: the numbers begin anew
        elif len(cells) == 3 and _BUS.fullmatch(cells[1]):
            busy = _milli(cells[2].split()[0] if cells[2] else "")
            if busy is None:
                continue
            if npu != last or not found:
                found.append([])
            last = npu
            found[-1].append(busy)
        elif len(cells) == 3 and cells[0]:
            npu = cells[0].split()[0]
    return tuple(sum(chips) // len(chips) for chips in found)


def read_cnmon(text: str) -> Readings:
    """Return how busy each MLU is, of the table that `cnmon` prints: the column Util."""
    found = []
    for line in text.splitlines():
        cells = _cells(line)
        if len(cells) == 3 and cells[2] and _BUS.fullmatch(cells[1]):
            word = cells[2].split()[0]
            if word.endswith("%") and (busy := _milli(word[:-1])) is not None:
                found.append(busy)
    return tuple(found)


def _cells(line: str) -> list[str]:
    stripped = line.strip()
    return [each.strip() for each in stripped.strip("|").split("|")] if stripped.startswith("|") else []


def _milli(text: str) -> int | None:
    """Return a percentage in thousandths, None if it is none."""
    word = text.strip()
    return int(word) * 10 if _NUMBER.fullmatch(word) and int(word) <= 100 else None


READERS: Mapping[str, Callable[[str], Readings]] = MappingProxyType(
    {"nvidia-smi": read_nvidia_smi, "npu-smi": read_npu_smi, "cnmon": read_cnmon}
)
COMMANDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "nvidia-smi": ("nvidia-smi", "--query-gpu=index,utilization.gpu", "--format=csv"),
        "npu-smi": ("npu-smi", "info"),
        "cnmon": ("cnmon",),
    }
)
