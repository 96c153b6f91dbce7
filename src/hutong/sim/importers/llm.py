"""Reads streams of inference requests (Azure, Mooncake) and tables of their rates (ServeGen).

Checked against 19,366 rows of Azure's 2023 conversation trace (CC-BY-4.0), 12,031 of Mooncake's
conversation trace (Apache-2.0), and 1,008 of a ten-minute table of rates summed over the clients of
ServeGen (Apache-2.0). Arrivals are whole milliseconds from the first request, halves rounded up.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from hutong.core.kernel.errors import Refused
from hutong.core.placement.arrays import Ints
from hutong.sim.importers.table import Floats, read_table, read_text, refuse, rounded

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_MOONCAKE = ("timestamp", "input_length", "output_length")
_SOURCES = {
    "azure": "Azure LLM inference trace, Azure/AzurePublicDataset, CC-BY-4.0",
    "mooncake": "Mooncake, FAST 2025, kvcache-ai/Mooncake, Apache-2.0",
}


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in the order of their arrival; each array has one entry a request."""

    name: str
    source: str
    arrival_ms: Ints
    input_tokens: Ints
    output_tokens: Ints

    def __len__(self) -> int:
        return len(self.arrival_ms)

    @property
    def span_ms(self) -> int:
        """Milliseconds from the first to the last arrival."""
        return int(self.arrival_ms[-1]) if len(self) else 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second, for each model, from each of the times `start_s` to the next one.

    NaN where the table says nothing: a model that was not there yet is not a model without requests.
    """

    name: str
    source: str
    start_s: Ints
    models: tuple[str, ...]
    per_s: Floats


def read_requests(path: Path | str, kind: str = "", *, name: str = "") -> Requests:
    """Read a stream of requests; `kind` is azure or mooncake, and told by the first line where it is empty.

    Mooncake's `hash_ids` (which blocks of a prompt are shared) are not kept.
    """
    path = Path(path)
    if kind not in {"", *_SOURCES}:
        raise Refused("trace", f"kind: expected azure or mooncake, found {kind!r}")
    if not kind:
        first = read_text(path).lstrip().split("\n", 1)[0]
        kind = "mooncake" if first.startswith("{") else "azure"
    arrival, taken, given = _azure(path) if kind == "azure" else _mooncake(path)
    order = np.argsort(arrival, kind="stable")
    return Requests(
        name or path.name.split(".")[0],
        _SOURCES[kind],
        arrival[order] - arrival.min(),
        taken[order],
        given[order],
    )


def _azure(path: Path) -> tuple[Ints, Ints, Ints]:
    table = read_table(path, AZURE)
    arrival = table.moments("TIMESTAMP")
    if np.isnan(arrival).any():
        row = int(np.isnan(arrival).argmax())
        raise refuse(path, table.lines[row], "a time as TIMESTAMP", table.texts("TIMESTAMP")[row])
    # A float64 of today's seconds is good for microseconds; from there on the numbers are whole.
    micros = rounded(arrival * 1e6)
    arrival_ms = (micros - micros.min() + 500) // 1000
    return arrival_ms, table.whole("ContextTokens", 0), table.whole("GeneratedTokens", 0)


def _mooncake(path: Path) -> tuple[Ints, Ints, Ints]:
    rows: list[tuple[float, float, float]] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = orjson.loads(line)
            row = tuple(said[each] for each in _MOONCAKE)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            expected = f"a JSON object with {', '.join(_MOONCAKE)}"
            raise refuse(path, number, expected, line) from None
        # A bool is an int to Python, but not to a trace.
        if not all(type(each) in {int, float} and 0 <= each <= 1e15 for each in row):
            raise refuse(path, number, f"numbers of at least 0 as {', '.join(_MOONCAKE)}", line)
        rows.append((row[0], row[1], row[2]))
    values = np.array(rows, np.float64)
    return rounded(values[:, 0]), values[:, 1].astype(np.int64), values[:, 2].astype(np.int64)


def read_rates(path: Path | str, *, name: str = "") -> Rates:
    """Read a table `t,<model>,<model>...`: seconds from the start, then requests a second of each model."""
    path = Path(path)
    table = read_table(path, ("t",))
    models = tuple(each for each in table.columns if each != "t")
    if not models:
        raise refuse(path, 1, "a column for at least one model after t")
    start = table.whole("t", 0)
    late = np.flatnonzero(np.diff(start) <= 0)
    if len(late):
        row = int(late[0]) + 1
        raise refuse(path, table.lines[row], "a later t than on the line before", str(start[row]))
    rates = np.stack([table.optional_numbers(each, 0) for each in models], axis=1)
    source = "ServeGen, NSDI 2026, alibaba/ServeGen, Apache-2.0"
    return Rates(name or path.name.split(".")[0], source, start, models, rates)
