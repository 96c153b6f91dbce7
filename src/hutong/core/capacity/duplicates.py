"""Centres that may be one: alike in name, in place, or in owner and region. A person decides."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from hutong.core.capacity.centres import Centre, Place

NEAR_M = 500
"""Nearer than this two centres may be one. Our own choice, as is ALIKE_PPM."""
ALIKE_PPM = 750_000
APART_M = 2000
"""Further apart than this, a similar name says nothing."""
_MOST = 5
_COMMON = 200
_CELL = 10_000  # millionths of a degree: 1.1 km of latitude
_METRES_A_DEGREE = 111_195
_WORDS = (
    "人工智能", "公共", "算力中心", "智算中心", "数据中心", "计算中心", "超算中心", "算力", "平台",
    "中心", "有限公司",
    "artificial intelligence", "computing", "computer", "data", "center", "centre", "platform", "public",
    "park", "intelligent", "ai",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Likeness:
    """Another centre that may be the same, and why."""

    id: str
    reason: str


@dataclass(slots=True)
class Known:
    """An index of centres, so that each new one is compared with few."""

    _names: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _grams: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _called: dict[str, list[str]] = field(default_factory=dict)
    _places: dict[str, Place | None] = field(default_factory=dict)
    _cells: defaultdict[tuple[int, int], dict[str, Place]] = field(default_factory=lambda: defaultdict(dict))
    _owners: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, centres: Iterable[Centre]) -> "Known":
        """Return an index of these centres."""
        made = cls()
        for each in centres:
            made.add(each)
        return made

    def add(self, centre: Centre) -> None:
        """Take a centre in."""
        self._called[centre.id] = _bare_names(centre)
        self._places[centre.id] = centre.place
        for name in _bare_names(centre):
            self._names[centre.region, name].add(centre.id)
            for gram in _grams_of(name):
                self._grams[centre.region, gram].add(centre.id)
        if centre.place:
            self._cells[_cell(centre.place)][centre.id] = centre.place
        if centre.owner.uscc:
            self._owners[centre.region, centre.owner.uscc].add(centre.id)

    def like(self, centre: Centre) -> tuple[Likeness, ...]:
        """Return other centres that may be this one, the surest reasons first, a few at most."""
        found: dict[str, str] = {}
        for name in _bare_names(centre):
            for id in sorted(self._names[centre.region, name]):
                found.setdefault(id, "the same name in the same region")
        for id, metres in self._near(centre.place):
            found.setdefault(id, f"{metres} m away")
        for id in self._sounding_like(centre):
            found.setdefault(id, "a similar name in the same region")
        for id in sorted(self._owners.get((centre.region, centre.owner.uscc), ())):
            found.setdefault(id, f"the same owner {centre.owner.uscc} in the same region")
        found.pop(centre.id, None)
        return tuple(Likeness(id, reason) for id, reason in list(found.items())[:_MOST])

    def _near(self, place: Place | None) -> list[tuple[str, int]]:
        if place is None:
            return []
        row, column = _cell(place)
        # Cells grow narrow towards the poles; a few more of them are looked through there.
        wide = min(40, 1 + math.ceil(NEAR_M / (_metres_of_cell(place) or 1)))
        found = [
            (metres_between(place, other), id)
            for north in (row - 1, row, row + 1)
            for east in range(column - wide, column + wide + 1)
            for id, other in self._cells.get((north, east), {}).items()
        ]
        return [(id, metres) for metres, id in sorted(found) if metres <= NEAR_M]

    def _sounding_like(self, centre: Centre) -> list[str]:
        found: dict[str, int] = {}
        for name in _bare_names(centre):
            grams = _grams_of(name)
            shared: Counter[str] = Counter()
            for gram in grams:
                there = self._grams.get((centre.region, gram), set())
                if len(there) <= _COMMON:
                    shared.update(there)
            for id in shared:
                others = (other for other in self._called[id] if _digits(other) == _digits(name))
                alike = max((_dice(grams, _grams_of(other)) for other in others), default=0)
                if alike >= ALIKE_PPM and not _apart(centre.place, self._places[id]):
                    found[id] = max(alike, found.get(id, 0))
        return sorted(found, key=lambda id: (-found[id], id))


def metres_between(one: Place, other: Place) -> int:
    """Return the distance over a sphere, to the metre (haversine)."""
    first, second = (math.radians(each.lat_micro / 1e6) for each in (one, other))
    east = math.radians((one.lon_micro - other.lon_micro) / 1e6)
    half = math.sin((second - first) / 2) ** 2 + math.cos(first) * math.cos(second) * math.sin(east / 2) ** 2
    return round(2 * math.asin(min(1.0, math.sqrt(half))) * _METRES_A_DEGREE * 180 / math.pi)


def bare_name(name: str) -> str:
    """Return a name without what nearly every centre is called: case, spaces, marks, `data centre`."""
    text = name.casefold()
    for word in _WORDS:
        text = text.replace(word, " ")
    bare = "".join(each for each in text if each.isalnum())
    return bare or "".join(each for each in name.casefold() if each.isalnum())


def _bare_names(centre: Centre) -> list[str]:
    return list(dict.fromkeys(bare_name(each) for each in (centre.name_zh, centre.name_en) if each))


def _grams_of(name: str) -> set[str]:
    return {name[at : at + 2] for at in range(max(1, len(name) - 1))}


def _digits(name: str) -> str:
    """Return the digits of a name: the second and the third building of a park are two."""
    return "".join(each for each in name if each.isdigit())


def _apart(one: Place | None, other: Place | None) -> bool:
    return one is not None and other is not None and metres_between(one, other) > APART_M


def _dice(one: set[str], other: set[str]) -> int:
    return 2_000_000 * len(one & other) // (len(one) + len(other))


def _cell(place: Place) -> tuple[int, int]:
    return place.lat_micro // _CELL, place.lon_micro // _CELL


def _metres_of_cell(place: Place) -> float:
    return _METRES_A_DEGREE * _CELL / 1e6 * math.cos(math.radians(place.lat_micro / 1e6))
