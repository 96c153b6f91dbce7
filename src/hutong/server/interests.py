"""Who is impartial: reads what a conflict of interest rests on, and asks the core."""

from hutong.core.accounts.applications import Application
from hutong.core.accounts.conflicts import Interest, check_impartial
from hutong.core.accounts.institutions import holds_at
from hutong.core.accounts.registry import Person, Project, Relation
from hutong.core.book.store import Store
from hutong.core.kernel.errors import NotFound
from hutong.server.registry import every, load, read

RELATIONS_MOST = 1000


def related(store: Store, one: str, other: str, at_ms: int) -> bool:
    """True if two institutions are related parties at a time."""
    first, second = sorted((one, other))
    record = store.get("relation", f"{first}/{second}")
    return record is not None and holds_at(read(Relation, record), at_ms)


def related_of(store: Store, institution: str, at_ms: int) -> tuple[str, ...]:
    """Return the related parties of an institution at a time, by id; at most a thousand are looked at."""
    others = (row.id.partition("/")[2] for row in every(store, "relation_of", institution, RELATIONS_MOST))
    return tuple(other for other in others if related(store, institution, other, at_ms))


def demand_impartial(store: Store, person: str, application: Application, now_ms: int) -> None:
    """Raise Denied (`conflict_of_interest`) unless a person may review and decide; NotFound for nobody."""
    declared = dict(application.declared)
    demand_impartial_to(store, person, application.project, now_ms, application.by, declared)


def demand_impartial_to(
    store: Store,
    person: str,
    project: str,
    now_ms: int,
    by: str = "",
    declared: dict[str, str] | None = None,
) -> None:
    """Raise Denied unless a person is impartial to a project, and to `by` who asked for it."""
    record = store.get("person", person)
    if record is None:
        raise NotFound("not_found", f"there is no person {person!r}")
    institution = read(Person, record).institution
    owner = load(store, "project", project, Project)
    kin = {institution} if related(store, institution, owner.institution, now_ms) else set()
    people = {member for member, _ in owner.members} | {by}
    check_impartial(person, institution, Interest(owner.institution, kin, people, declared or {}))
