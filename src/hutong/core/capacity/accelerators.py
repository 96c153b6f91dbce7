"""The accelerators that centres register and jobs ask for, each with the figure of bills and placement.

What else is known of these and other cards stands in `core/capacity/catalogue`.
"""

from dataclasses import dataclass
from types import MappingProxyType

from hutong.core.capacity.figures import Figure


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A model of card. `dies` is what some drivers count (Ascend 910C: one card, two dies)."""

    model: str
    vendor: str
    stack: str
    memory_bytes: int
    tdp_w: int
    domestic: bool
    fp16: Figure | None
    aliases: tuple[str, ...] = ()
    dies: int = 1


def _fp16(teraflops_milli: int, basis: str, source: str) -> Figure:
    return Figure(teraflops_milli, "FP16", sparse=False, basis=basis, source=source, dated="2026-11-22")


_GB = 10**9
_FLAGPERF = "FlagPerf computation-FP16, vendor tool"

_CARDS = (
    Accelerator(
        "H100", "NVIDIA", "cuda", 80 * _GB, 700, False,
        _fp16(989_000, "nominal", "NVIDIA H100 SXM data sheet, dense"),
        ("H100-SXM", "NVIDIA-H100-80GB-HBM3", "H100-80GB"),
    ),
    Accelerator(
        "A100", "NVIDIA", "cuda", 80 * _GB, 400, False,
        _fp16(312_000, "nominal", "NVIDIA A100 SXM data sheet, dense"),
        ("A100-80GB", "NVIDIA-A100-SXM4-80GB", "A100-SXM"),
    ),
    Accelerator(
        "H20", "NVIDIA", "cuda", 96 * _GB, 400, False,
        _fp16(148_000, "nominal", "NVIDIA H20 data sheet, dense"), ("NVIDIA-H20",),
    ),
    Accelerator(
        "Ascend910B", "Huawei", "cann", 64 * _GB, 350, True,
        _fp16(313_200, "measured", _FLAGPERF), ("910B", "Ascend-910B", "Ascend910B3"),
    ),
    Accelerator(
        "MLU370", "Cambricon", "neuware", 48 * _GB, 250, True,
        _fp16(96_000, "nominal", "Cambricon MLU370-X8 data sheet"), ("MLU370-X8", "mlu370"),
    ),
    Accelerator(
        "MI300X", "AMD", "rocm", 192 * _GB, 750, False,
        _fp16(1_307_000, "nominal", "AMD MI300X data sheet, dense"), ("AMD-MI300X",),
    ),
    Accelerator(
        "MI250X", "AMD", "rocm", 128 * _GB, 560, False,
        _fp16(383_000, "nominal", "AMD's table of the Instinct MI200 series"), ("AMD-MI250X",), dies=2,
    ),
    # One "card" of the model CPU is one core; it lets a job without accelerators use the same rules.
    Accelerator("CPU", "any", "cpu", 0, 10, False, None, ("cpu",)),
)  # fmt: skip

ACCELERATORS = MappingProxyType({card.model: card for card in _CARDS})
_NAMES = {name.casefold(): card.model for card in _CARDS for name in (card.model, *card.aliases)}


def find_accelerator(name: str) -> Accelerator | None:
    """Return the accelerator that a user's or a driver's name means, or None if it is unknown."""
    model = model_of(name)
    return ACCELERATORS[model] if model else None


def tdp_w_of(model: str) -> int:
    """Return the nameplate power of a card of a model, 0 where the catalogue does not know it."""
    card = ACCELERATORS.get(model)
    return card.tdp_w if card else 0


def model_of(name: str) -> str | None:
    """Return the catalogue's model for a name, or None if it is unknown."""
    return _NAMES.get(name.strip().casefold())
