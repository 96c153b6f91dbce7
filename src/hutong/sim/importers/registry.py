"""The kinds of trace that can be read, and how one is told from another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import helios, llm, openb, own, pai, philly, sia, swf
from hutong.sim.importers.imported import Imported, Reader
from hutong.sim.importers.table import read_text
from hutong.sim.trace import Trace


@dataclass(frozen=True, slots=True)
class Kind:
    """One format: what reads it, and the columns that a CSV file of it has (none: told in another way)."""

    name: str
    title: str
    reader: Reader
    columns: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """What may be said when reading it, by name."""
        return tuple(signature(self.reader).parameters)[1:]


KINDS: Mapping[str, Kind] = {
    each.name: each
    for each in (
        Kind("hutong", "what hutong trace writes of a platform's own jobs", own.read_own, own.HUTONG),
        Kind("swf", "Standard Workload Format", swf.read_swf),
        Kind("philly", "Philly, CSV as Lucid has it", philly.read_lucid, philly.LUCID),
        Kind("philly-sia", "Philly, CSV as Sia has it", philly.read_sia, philly.SIA),
        Kind("philly-raw", "Philly, the raw cluster_job_log", philly.read_raw),
        Kind("helios", "Helios, cluster_log.csv", helios.read_helios, helios.HELIOS),
        Kind("acme", "Acme, trace_seren.csv and trace_kalos.csv", helios.read_acme, helios.ACME),
        Kind("openb", "Alibaba 2023, pods", openb.read_openb, openb.COLUMNS),
        Kind("gaia", "GAIA's year-long lists", pai.read_gaia, pai.GAIA),
        Kind("pai", "Alibaba 2020, PAI's simulator", pai.read_pai, pai.PAI),
        Kind("sia", "Workloads of Sia", sia.read_sia, sia.SIA),
        Kind("gavel", "Traces of Gavel", sia.read_gavel),
    )
}


def read(path: Path | str, kind: str | None = None, **options: object) -> Trace:
    """Read a trace of jobs from a file, plain or gz compressed.

    `kind` is one of `KINDS`; without it the file's own header tells, and a file that tells nothing is
    refused. Options are those of the kind; all take `name`. Raises Refused with file, line and what was
    expected there.
    """
    return read_imported(path, kind, **options).trace


def read_imported(path: Path | str, kind: str | None = None, **options: object) -> Imported:
    """Read a trace as `read` does, with the count of what was left out and the file's own header."""
    path = Path(path)
    if kind is not None and kind not in KINDS:
        raise Refused("trace", f"kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    if not isinstance(options.get("name", ""), str):
        raise Refused("trace", f"name: expected text, found {options['name']!r}")
    chosen = KINDS[kind or guess(path)]
    unknown = sorted(set(options) - set(chosen.options))
    if unknown:
        known = ", ".join(chosen.options)
        raise Refused("trace", f"a trace of kind {chosen.name} has no option {unknown[0]}; it has {known}")
    return chosen.reader(path, **options)


def options_of(words: Sequence[str]) -> dict[str, object]:
    """Return options that were typed as NAME=VALUE, or TABLE:KEY=NUMBER for each entry of a table."""
    found: dict[str, object] = {}
    for word in words:
        name, equals, value = word.rpartition("=")
        table, colon, key = name.partition(":")
        entries = found.setdefault(table, {}) if colon else None
        if not (equals and table and value) or (colon and not (key and isinstance(entries, dict))):
            right = "NAME=VALUE or TABLE:KEY=NUMBER, as unit=milli or seconds:bert=7200"
            raise Refused("trace", f"--read is {right}, and not {word!r}")
        if isinstance(entries, dict):
            entries[key] = _number(word, value)
        else:
            found[name] = value
    return found


def _number(word: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise Refused("trace", f"--read {word}: expected a number, found {value!r}") from None


def guess(path: Path | str) -> str:
    """Return the kind that the header of a file tells, or refuse and name the kinds."""
    path = Path(path)
    text = read_text(path).lstrip()
    first = text.split("\n", 1)[0].strip()
    if first.startswith(";") or ".swf" in path.suffixes[-2:]:
        return "swf"
    if text.startswith("[") and '"attempts"' in text[:100_000]:
        return "philly-raw"
    if first.count("\t") in {5, 6, 9} and ".trace" in path.suffixes[-2:]:
        return "gavel"
    header = {each.strip().strip('"') for each in first.split(",")}
    if set(llm.AZURE) <= header or first.startswith("{"):
        raise Refused("trace", f"{path}: this is a stream of requests, not of jobs; use read_requests")
    fitting = [each for each in KINDS.values() if each.columns and set(each.columns) <= header]
    most = max((len(each.columns) for each in fitting), default=0)
    best = [each.name for each in fitting if len(each.columns) == most]
    if len(best) != 1:
        names = ", ".join(KINDS)
        text = f"{path}: the header does not tell the kind; say which of {names} it is{_nearest(header)}"
        raise Refused("trace", text)
    return best[0]


def _nearest(header: set[str]) -> str:
    """Return what a file lacks to be of the kind that it is most like, if it is like one."""
    lacks = {each.name: sorted(set(each.columns) - header) for each in KINDS.values() if each.columns}
    name = min(lacks, key=lambda each: len(lacks[each]) / len(KINDS[each].columns))
    if len(lacks[name]) > len(KINDS[name].columns) * 0.6:
        return ""
    return f" (it is most like {name}, but has no {', '.join(lacks[name])})"
