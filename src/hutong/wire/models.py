"""Models, deployments and gateway use: JSON shapes."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hutong.wire.base import Money, Shape, Slug, Time, Ulid


class NewModel(Shape):
    """A model made from the kept files of a job: those under `path` of its outputs."""

    name: Slug
    project: Slug
    job: Ulid
    path: Annotated[str, Field(max_length=500)] = "model"


class ModelFile(Shape):
    """One file of a model."""

    path: str
    size_bytes: int
    digest: str


class Lineage(Shape):
    """Where a model comes from."""

    job: Ulid
    attempt: int
    site: str
    accelerator: str
    corpus: dict[str, Any]
    training: dict[str, Any]


class Model(Shape):
    """A version of a model: content-addressed files, all safe to load."""

    id: str
    name: Slug
    version: int
    project: Slug
    digest: str
    size_bytes: int
    files: tuple[ModelFile, ...]
    lineage: Lineage
    created: Time
    by: str


class NewDeployment(Shape):
    """A model to be served. `spec` adds to, or replaces keys of, the service job made for it."""

    name: Slug
    project: Slug
    model: str
    accelerators: dict[str, int]
    max_duration: str = "0"
    spec: dict[str, Any] = Field(default_factory=dict)
    price_in_per_million: Money = Money(amount="0.500000")
    price_out_per_million: Money = Money(amount="2.000000")


class Deployment(Shape):
    """A model being served by a service job; callers name it `<project>/<name>`."""

    name: Slug
    project: Slug
    model: str
    job: Ulid
    state: Literal["STARTING", "READY", "STOPPING", "STOPPED", "FAILED"]
    call_as: str
    price_in_per_million: Money
    price_out_per_million: Money
    created: Time
    by: str
