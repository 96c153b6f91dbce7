"""Policies of placement and of reclaim from their folder: data in YAML, checked when it is read."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hutong.core.accounts.reclaim import Band, ReclaimPolicy
from hutong.core.control.rules import DEFAULT_POLICY, Rules, RunLengths
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.placement.columns import Backfill
from hutong.core.placement.request import Policy

HINT = "see policies/placement/balanced.yaml"
RECLAIM_HINT = "see policies/reclaim/nrel.yaml"
Shape = TypeVar("Shape", bound=BaseModel)


class _Weights(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    fit: int = Field(ge=0, le=1000)
    price: int = Field(ge=0, le=1000)
    wait: int = Field(ge=0, le=1000)
    distance: int = Field(ge=0, le=1000)
    green: int = Field(ge=0, le=1000)
    speed: int = Field(default=0, ge=0, le=1000)
    carbon: int = Field(default=0, ge=0, le=1000)
    reliability: int = Field(default=0, ge=0, le=1000)
    energy: int = Field(default=0, ge=0, le=1000)
    fragmentation: int = Field(default=0, ge=0, le=1000)


class _Band(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    used_percent: int = Field(ge=0, le=100)
    cut_percent: int = Field(ge=0, le=100)


class _Reclaim(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    source: str = Field(min_length=1, max_length=500)
    bands: list[_Band] = Field(min_length=1, max_length=50)
    appeal_days: int = Field(ge=0, le=366)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    about: str = Field(min_length=1, max_length=500)
    weights: _Weights


def load_policies(folder: Path) -> MappingProxyType[str, Policy]:
    """Return every policy in `folder` (`*.yaml`) by name. Raises Refused that names file and field."""
    policies = {}
    for path in sorted(folder.glob("*.yaml")):
        policy = _read(path)
        if policy.name in policies:
            raise _refused(path, "name", f"another file already defines {policy.name!r}")
        policies[policy.name] = policy
    if DEFAULT_POLICY not in policies:
        raise _refused(folder, "", f"no policy {DEFAULT_POLICY!r} in this folder")
    return MappingProxyType(policies)


def choose_policies(names: Sequence[str], folder: Path) -> list[Policy]:
    """Return policies of a folder by their names, or of one's own by their files. Raises Refused."""
    known = load_policies(folder)
    found = [known[name] if name in known else _own(name, known) for name in names]
    for at, policy in enumerate(found):
        if any(policy.name == each.name for each in found[:at]):
            raise Refused("bad_policy", f"two of these policies are called {policy.name!r}")
    return found


def _own(name: str, known: Mapping[str, Policy]) -> Policy:
    if Path(name).suffix not in {".yaml", ".yml"}:
        names = ", ".join(sorted(known))
        raise Refused(
            "bad_policy", f"no policy {name!r}; there are {names}, or a file of your own, as my.yaml"
        )
    return _read(Path(name))


def load_rules(policies: Path, backfill: str = "easy", run_lengths: str = "walltime") -> Rules:
    """Return the rules of the loop: placement policies of a `policies` folder, and two settings by name."""
    return Rules(
        policies=load_policies(policies / "placement"),
        backfill=Backfill[backfill.upper()],
        lengths=RunLengths(run_lengths),
    )


def load_reclaim(policies: Path, name: str = "nrel") -> ReclaimPolicy:
    """Return the policy of use it or lose it; its bands go down to a use of 0."""
    path = policies / "reclaim" / f"{name}.yaml"
    found = _parse(path, _Reclaim, RECLAIM_HINT)
    bands = [Band(each.used_percent, each.cut_percent) for each in found.bands]
    falling = all(one.used_percent > two.used_percent for one, two in pairwise(bands))
    if not falling or bands[-1].used_percent:
        raise _refused(path, "bands", "they fall, and the last begins at 0", RECLAIM_HINT)
    return ReclaimPolicy(found.name, tuple(bands), found.appeal_days, found.source)


def _read(path: Path) -> Policy:
    document = _parse(path, _Document, HINT)
    if not any(document.weights.model_dump().values()):
        raise _refused(path, "weights", "at least one weight must be above 0")
    return Policy(document.name, **document.weights.model_dump())


def _parse(path: Path, shape: type[Shape], hint: str) -> Shape:
    try:
        return shape.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise _refused(path, "", f"cannot be read: {error.strerror}", hint) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refused(path, "", f"not YAML: {error}", hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _refused(path, "/".join(str(part) for part in first["loc"]), first["msg"], hint) from error


def _refused(path: Path, field: str, message: str, hint: str = HINT) -> Refused:
    return Refused("bad_policy", f"{path}: {message}", (Problem(f"/{field}", message, hint),))
