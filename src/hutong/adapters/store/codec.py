"""Core shapes to and from the JSON text that the tables keep."""

from functools import lru_cache
from typing import get_args

import orjson
from pydantic import TypeAdapter, ValidationError

from hutong.core.accounts.budgets import Budget
from hutong.core.accounts.quotas import Quota
from hutong.core.accounts.registry import Institution
from hutong.core.book.prices import Books, Timeline
from hutong.core.capacity.links import Link
from hutong.core.capacity.sites import PoolState, Site
from hutong.core.kernel.changes import changed
from hutong.core.kernel.errors import Broken, Refused
from hutong.core.kernel.ids import JobId
from hutong.core.work.facts import Event
from hutong.core.work.fold import Job
from hutong.core.work.spec import JobSpec

_JOB = TypeAdapter(Job)
_SPEC = TypeAdapter(JobSpec)
_SITE = TypeAdapter(Site)
_QUOTA = TypeAdapter(Quota)
_LINK = TypeAdapter(Link)
_POOLS = TypeAdapter(tuple[PoolState, ...])
_BOOKS = TypeAdapter(Books)
_TIMELINE = TypeAdapter(Timeline)
_INSTITUTION = TypeAdapter(Institution)
_BUDGET = TypeAdapter(Budget)
_CLASSES: tuple[type[Event], ...] = get_args(Event)
_EVENTS: dict[str, TypeAdapter[Event]] = {each.kind: TypeAdapter(each) for each in _CLASSES}


_HEAD = '{"id":"'


def encode(shape: object) -> str:
    """Return compact JSON of a core dataclass or a document; Refused if it has no JSON form."""
    try:
        return orjson.dumps(shape).decode()
    except TypeError as error:  # a lone surrogate, an integer beyond 64 bits, a foreign type
        raise Refused("bad_value", f"this cannot be stored: {error}") from error


@lru_cache(maxsize=4096)
def decode_job(text: str) -> Job:
    """Return the job that `encode` wrote; what waits is read in turn after turn, so it is remembered.

    Of those that differ in their name only, as a batch does, one is read.
    """
    name, comma, rest = text.removeprefix(_HEAD).partition('","')
    if not comma or not text.startswith(_HEAD) or "\\" in name:
        return _JOB.validate_json(text)
    return changed(_nameless(rest), id=JobId(name))


@lru_cache(maxsize=256)
def _nameless(rest: str) -> Job:
    return _JOB.validate_json(f'{_HEAD}","{rest}')


@lru_cache(maxsize=4096)
def decode_spec(text: str) -> JobSpec:
    """Return the spec that `encode` wrote; many jobs have the same."""
    return _SPEC.validate_json(text)


def decode_event(kind: str, text: str) -> Event:
    """Return the event of that kind that `encode` wrote."""
    return _EVENTS[kind].validate_json(text)


def decode_doc(text: str) -> dict[str, object]:
    """Return a document of the registry."""
    doc = orjson.loads(text)
    if not isinstance(doc, dict):
        raise Broken("a document of the registry is an object")
    return doc


def decode_pools(docs: object) -> tuple[PoolState, ...]:
    """Return what a centre's scheduler said of its pools, from the documents of a status."""
    return _POOLS.validate_python(docs)


@lru_cache(maxsize=4096)
def decode_quota(text: str) -> Quota:
    """Return a quota from its registry document."""
    try:
        return _QUOTA.validate_json(text)
    except ValidationError as error:
        raise Refused("bad_quota", f"this document does not describe a quota: {error}") from error


@lru_cache(maxsize=4096)
def decode_link(text: str) -> Link:
    """Return a link from its registry document."""
    try:
        return _LINK.validate_json(text)
    except ValidationError as error:
        raise Refused("bad_link", f"this document does not describe a link: {error}") from error


@lru_cache(maxsize=4)
def decode_books(text: str) -> Books:
    """Return the price books from their document; read in turn after turn, so it is remembered."""
    return _BOOKS.validate_json(text)


@lru_cache(maxsize=4096)
def decode_timeline(text: str) -> Timeline:
    """Return a timeline of prices from its document."""
    return _TIMELINE.validate_json(text)


@lru_cache(maxsize=4096)
def decode_institution(text: str) -> Institution:
    """Return an institution from its document."""
    return _INSTITUTION.validate_json(text)


@lru_cache(maxsize=4096)
def decode_budget(text: str) -> Budget:
    """Return a budget from its registry document."""
    try:
        return _BUDGET.validate_json(text)
    except ValidationError as error:
        raise Refused("bad_budget", f"this document does not describe a budget: {error}") from error


@lru_cache(maxsize=4096)
def decode_site(text: str) -> Site:
    """Return a site from its registry document; sites change rarely, so they are remembered."""
    try:
        return _SITE.validate_json(text)
    except ValidationError as error:
        raise Refused("bad_site", f"this document does not describe a site: {error}") from error
