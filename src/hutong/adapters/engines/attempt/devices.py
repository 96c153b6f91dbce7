"""Which devices Slurm has given to each node of a job, for kinds of which it tells the job nothing itself.

Standard library only: the supervisor imports this without any installed package.
"""

import re
from collections.abc import Callable, Sequence

_PART = re.compile(r"(?:^| )Nodes=(\S+) .*?GRES=(\S*)")


def devices_of(text: str, kind: str, nodes: Sequence[str], names: Callable[[str], list[str]]) -> list[str]:
    """Return for each node its devices as `0,1,3`, from `scontrol --details --oneliner show job`.

    `names` expands a host list such as `n[1-3]`. Raises OSError where a node has none of `kind`: a job that
    does not know its devices would take those of others.
    """
    found: dict[str, str] = {}
    for where, gres in _PART.findall(text):
        numbers = _numbers(gres, kind)
        found.update((name, numbers) for name in names(where))
    missing = [name for name in nodes if not found.get(name)]
    if missing:
        raise OSError(f"Slurm does not say which {kind} devices are the job's on {', '.join(missing[:5])}")
    return [found[name] for name in nodes]


def _numbers(gres: str, kind: str) -> str:
    """Return the numbers of `npu:910c:3(IDX:0-1,3),nic:1(IDX:0)` that are of one kind."""
    found: list[int] = []
    for each in re.finditer(r"(?:^|,)([^,:(]+)(?::[^,(]*)?\(IDX:([0-9,-]*)\)", gres):
        if each[1] == kind:
            found += _expand(each[2])
    return ",".join(map(str, sorted(found)))


def _expand(ranges: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
