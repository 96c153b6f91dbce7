"""Calls about commitments (operators, finance), and those that a project's use draws on."""

from hutong.clients.sdk.call import Call, Listing, path_of, post, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import commitments as w
from hutong.wire.base import Page


def make_commitment(commitment: w.NewCommitment) -> Call[w.Commitment]:
    """Make a commitment; the same again changes nothing."""
    return post(path_of("commitments"), shape(w.Commitment), commitment, keyed=False)


def list_commitments(*, limit: int | None = None) -> Listing[w.Commitment]:
    """List all commitments."""
    return Listing(path_of("commitments"), shape(Page[w.Commitment]), most=limit)


def commitments_of(project: str, *, limit: int | None = None) -> Listing[w.Commitment]:
    """List the commitments that a project's use draws on."""
    return Listing(path_of("projects", project, "commitments"), shape(Page[w.Commitment]), most=limit)


def end_commitment(commitment: str, ends: str) -> Call[w.Commitment]:
    """End a commitment sooner: `ends` is the first month that it is not for."""
    path = path_of("commitments", commitment, "end")
    return post(path, shape(w.Commitment), w.EndCommitment(ends=ends), keyed=False)


class CommitmentVerbs:
    """Card-hours that somebody promised to use, at a price of their own."""

    make = Verb(make_commitment)
    list = ListVerb(list_commitments)
    of = ListVerb(commitments_of)
    end = Verb(end_commitment)


class Commitments(CommitmentVerbs, Group):
    """Card-hours that somebody promised to use, at a price of their own."""


class AsyncCommitments(CommitmentVerbs, AsyncGroup):
    """Card-hours that somebody promised to use, at a price of their own."""
