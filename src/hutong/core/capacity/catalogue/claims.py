"""Published totals of machines, centres and cities: what was said, when, by whom, as a fact or as a plan."""

from dataclasses import dataclass
from types import MappingProxyType

from hutong.core.capacity.catalogue.model import READ
from hutong.core.capacity.figures import Figure

_SHANGZHUANG = "article on the launch of Beijing's AI public computing platform (Shangzhuang)"
_YIZHUANG = "article on the Yizhuang platform"
_C114 = "C114, June 2025, on Beijing's computing power"
_CHINA_ORG = "China.org.cn, February 2024"
_QIANLONG = "qianlong.com, 23 January 2026 (beijing.qianlong.com/2026/0123/8613818.shtml)"
_SILENT = "the source does not say which precision: FP16 dense by the convention of P"


@dataclass(frozen=True, slots=True)
class Claim:
    """One published total. `status` is `planned`, `declared` or `measured`; `at` is when, or empty.

    `scope` is what it counts: totals of unlike scopes are no two points of one line.
    """

    id: str
    name: str
    scope: str
    status: str
    at: str
    figure: Figure


def _total(gops_p: int, source: str, note: str = _SILENT) -> Figure:
    return Figure(
        gops_p * 10**6, "FP16", sparse=False, basis="nominal", source=source, dated=READ, confidence="C",
        of="machine", assumed=True, note=note,
    )  # fmt: skip


_CITY = "all of Beijing: public, private and cloud"
_FRONTIER = Figure(
    1_194_000_000, "FP64", sparse=False, basis="benchmark",
    source=f"HPL result of Frontier, quoted in the {_SHANGZHUANG}",
    dated=READ, confidence="A", of="machine",
    note="High-Performance Linpack, a benchmark of the whole machine in FP64",
)  # fmt: skip
_PETAHASH = f"printed as `12,000 petahashes`, which the article itself explains as 10^15 op/s; {_SILENT}"

_ALL = (
    Claim("beijing-12000", "Beijing, February 2024", _CITY, "declared", "2024-02", _total(12_000, _CHINA_ORG,
        _PETAHASH)),
    Claim("beijing-2025-q1", "Beijing, first quarter of 2025", _CITY, "declared", "2025-03", _total(33_000,
        _C114)),
    Claim("beijing-2025", "Beijing, end of 2025", _CITY, "planned", "2025-12", _total(45_000, _C114)),
    Claim("beijing-2027", "Beijing, by 2027", _CITY, "planned", "2027-12", _total(200_000, _QIANLONG)),
    Claim("digital-economy", "Beijing Digital Economy Computing Center", "one centre", "planned", "2025-04",
          _total(2_000, _C114)),
    Claim("frontier", "Frontier", "one machine", "measured", "", _FRONTIER),
    Claim("shangzhuang", "Shangzhuang, first phase", "one platform", "declared", "", _total(500,
        _SHANGZHUANG)),
    Claim("shangzhuang-1500", "Shangzhuang, second phase", "one platform", "planned", "2024-03",
          _total(1_500, _SHANGZHUANG)),
    Claim("yizhuang", "Yizhuang platform", "one platform", "declared", "", _total(3_000, _YIZHUANG)),
    Claim("zhangjiakou", "27 data centres of Zhangjiakou", "one city", "declared", "2024-02", _total(7_600,
        _CHINA_ORG)),
)  # fmt: skip

CLAIMS = MappingProxyType({claim.id: claim for claim in sorted(_ALL, key=lambda each: each.id)})
