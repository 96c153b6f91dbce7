"""What the catalogue says of a card, beside the figures of its computing power."""

from dataclasses import dataclass

from hutong.core.capacity.figures import Choice, Figure, choose, conflicts

READ = "2026-11-22"
"""When most of the sources were read."""
GB = 10**9
FLAGPERF = "FlagPerf (FlagOpen/FlagPerf), base"
NOTES = "this project's research notes of 2026-11-22, which do not name the original"


@dataclass(frozen=True, slots=True)
class Names:
    """How users ask for a card: with a device plugin or HAMi on Kubernetes, as GRES of Slurm; its tool."""

    kubernetes: tuple[str, ...] = ()
    hami: tuple[str, ...] = ()
    slurm: tuple[str, ...] = ()
    tool: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A model of card. 0 bytes, bytes a second or watts: not published or not found.

    `dies` is what some drivers count. `watts_milli` are what else was stated or measured of its power
    beside `tdp_w`. `cores` is what HAMi counts. `claims` are conflicts of anything that is no figure.
    """

    model: str
    vendor: str
    stack: str
    domestic: bool
    confidence: str
    memory_bytes: int
    bandwidth_gb_s: int
    tdp_w: int
    figures: tuple[Figure, ...]
    names: Names
    aliases: tuple[str, ...] = ()
    dies: int = 1
    watts_milli: tuple[int, ...] = ()
    cores: int = 0
    claims: tuple[str, ...] = ()
    note: str = ""

    def choice(self, precision: str, more: tuple[Figure, ...] = ()) -> Choice | None:
        """Return the figure that is used for a precision; `more` are figures beside the catalogue's."""
        return choose((*self.figures, *more), precision)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions of which there is a figure: they run. Of others nothing is known."""
        return tuple(dict.fromkeys(each.precision for each in self.figures))

    @property
    def status(self) -> str:
        """`conflicting`, `unverified`, `unpublished` or `settled`: whether its figures may be built on."""
        if not self.figures:
            return "unpublished"
        if conflicts([each for each in self.figures if not each.sparse]) or self.claims:
            return "conflicting"
        return "settled" if self.confidence in "AB" else "unverified"


def figure(
    precision: str,
    gops: int,
    source: str,
    confidence: str,
    basis: str = "nominal",
    *,
    sparse: bool = False,
    of: str = "card",
    note: str = "",
    dated: str = READ,
) -> Figure:
    """Return a figure of the catalogue; `gops` are giga-operations a second."""
    return Figure(gops, precision, sparse, basis, source, dated, confidence, of, note=note)


def flagperf(
    precision: str, gops: int, folder: str, basis: str, note: str = "", confidence: str = "B"
) -> Figure:
    """Return a figure of a README that a vendor gave to FlagPerf, read again in its repository on 2026-11-29.

    `benchmarks` run a framework, but Ascend's call the vendor's own tool; `toolkits` are vendors' tools.
    """
    return figure(precision, gops, f"{FLAGPERF}/{folder}", confidence, basis, note=note, dated="2026-11-29")


def both(
    gops: int, source: str, confidence: str, basis: str = "nominal", note: str = ""
) -> tuple[Figure, ...]:
    """Return the figures of a card that has the same of FP16 and BF16."""
    return tuple(figure(each, gops, source, confidence, basis, note=note) for each in ("FP16", "BF16"))
