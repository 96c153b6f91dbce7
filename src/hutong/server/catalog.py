"""Models in the registry: registering a version, finding one by name, and looking at its files."""

import json
from collections.abc import Iterator, Mapping

from hutong.adapters.objects.paths import content_path
from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import Record, Store
from hutong.core.catalog.models import Model, check_files, make_manifest, select_files, trace_lineage
from hutong.core.catalog.safetensors import LENGTH_BYTES, check_header, header_length
from hutong.core.kernel.errors import Broken, Conflict, NotFound, Problem, Refused
from hutong.core.work.facts import OutputFile
from hutong.core.work.fold import Attempt
from hutong.server.registry import document, read
from hutong.server.services import Services

KIND = "model"
INDEX = "model-name"  # id `<project>/<name>`, parent `<project>`: the newest version that was registered
_STORY_BYTES = 256 * 1024
_TRIES = 20


def register(here: Services, row: JobRow, name: str, folder: str, by: str) -> Model:
    """Make a version of a model from the kept files of a finished job.

    The same files of the same job again are the same version. Every file is in the object store with its
    size, and the weights are safetensors whose heads hold.
    """
    attempt = _collected(row)
    files = select_files(attempt.outputs, folder)
    check_files(files)
    _check_bytes(here, files)
    manifest, digest = make_manifest(files)
    here.objects.put_content([manifest], digest)
    lineage = trace_lineage(
        row.job, attempt, _read_story(here, files, "lineage.json"), _read_story(here, files, "corpus.json")
    )
    size_bytes = sum(each.size_bytes for each in files)
    for _ in range(_TRIES):
        newest = latest(here.store, row.project, name)
        if newest is not None and (newest.digest, newest.lineage.job) == (digest, row.job.id):
            return newest
        version = newest.version + 1 if newest is not None else 1
        model = Model(
            row.project, name, version, digest, size_bytes, files, lineage, here.clock(), by
        )  # fmt: skip
        try:
            here.store.put(Record(KIND, model.id, document(model), f"{model.project}/{name}"), expect=0)
        except Conflict:  # somebody registered a version at the same time
            continue
        here.store.put(Record(INDEX, f"{model.project}/{name}", {"latest": version}, model.project))
        return model
    raise Conflict("busy", f"others register versions of {name!r} right now; try again")


def _collected(row: JobRow) -> Attempt:
    attempt = row.job.attempt
    if not row.job.final:
        raise Conflict("job_not_finished", f"job {row.job.id} is {row.job.state}; wait until it has finished")
    if attempt is None:
        raise Refused("no_model", f"job {row.job.id} never ran, so it kept no files")
    if not attempt.collected:
        raise Conflict(
            "not_collected", f"the files of job {row.job.id} are still on their way; try again soon"
        )
    return attempt


def _check_bytes(here: Services, files: tuple[OutputFile, ...]) -> None:
    for each in files:
        path = content_path(each.digest)
        try:
            size_bytes = here.objects.size(path)
        except NotFound as error:
            message = f"the bytes of {each.path} are not in the object store"
            raise Refused("no_model", message, (Problem("/path", message, "run the job again"),)) from error
        if size_bytes != each.size_bytes:
            message = f"{each.path} has {size_bytes} bytes in the object store, not {each.size_bytes}"
            raise Refused("no_model", message, (Problem("/path", message, "run the job again"),))
        if each.path.endswith(".safetensors"):
            start = here.objects.get_range(path, 0, LENGTH_BYTES)
            length = header_length(start, size_bytes, each.path)
            check_header(here.objects.get_range(path, LENGTH_BYTES, length), size_bytes, each.path)


def _read_story(here: Services, files: tuple[OutputFile, ...], name: str) -> Mapping[str, object]:
    """Return a JSON document that the job wrote beside its model; empty if there is none that can be read."""
    found = next((each for each in files if each.path == name), None)
    if found is None or found.size_bytes > _STORY_BYTES:
        return {}
    try:
        story = json.loads(here.objects.get(content_path(found.digest)))
    except (ValueError, RecursionError):
        return {}
    return story if isinstance(story, dict) else {}


def latest(store: Store, project: str, name: str) -> Model | None:
    """Return the newest version of a model. A crash may leave the index behind: look beyond it."""
    index = store.get(INDEX, f"{project}/{name}")
    known = index.doc["latest"] if index is not None else 0
    version = known if isinstance(known, int) else 0
    found = load(store, project, name, version) if version else None
    while (newer := load(store, project, name, version + 1)) is not None:
        version, found = version + 1, newer
    return found


def load(store: Store, project: str, name: str, version: int) -> Model | None:
    """Return a version of a model."""
    record = store.get(KIND, f"{project}/{name}/{version}")
    return None if record is None else read(Model, record)


def find_model(here: Services, principal: Principal, name: str, version: int | None, project: str) -> Model:
    """Return a model that the principal may read: of `project`, else of the one project that has it."""
    projects = (project,) if project else sorted(principal.projects_with("model.read"))
    found = [
        model
        for each in projects
        if principal.may("model.read", each)
        and (model := _version(here.store, each, name, version)) is not None
    ]
    if len(found) > 1:
        message = f"{len(found)} of your projects have a model {name!r}"
        hint = f"?project= one of {', '.join(sorted(each.project for each in found))}"
        raise Refused("ambiguous", message, (Problem("?project", message, hint),))
    if not found:
        which = f"version {version} of " if version else ""
        where = f" in project {project!r}" if project else " in a project of yours"
        raise NotFound("not_found", f"there is no {which}model {name!r}{where}")
    return found[0]


def _version(store: Store, project: str, name: str, version: int | None) -> Model | None:
    return latest(store, project, name) if version is None else load(store, project, name, version)


def find_by_reference(here: Services, principal: Principal, project: str, reference: str) -> Model:
    """Return the model that `name`, `name/version` or `project/name/version` means, seen from a project."""
    parts = reference.split("/")
    if len(parts) == 3:
        project, parts = parts[0], parts[1:]
    digits = parts[1] if len(parts) == 2 else "1"
    if (
        len(parts) not in {1, 2}
        or not parts[0]
        or not (digits.isascii() and digits.isdigit() and len(digits) < 7)
    ):
        hint = "name, name/version or project/name/version"
        problem = Problem("/model", f"{reference[:200]!r} does not name a model", hint)
        raise Refused("bad_reference", f"{reference[:200]!r} does not name a model; write {hint}", (problem,))
    return find_model(here, principal, parts[0], int(parts[1]) if len(parts) == 2 else None, project)


def versions(store: Store, project: str, name: str, after: int, limit: int) -> Iterator[Model]:
    """Yield versions of a model above `after`, in order, at most `limit`."""
    for version in range(after + 1, after + limit + 1):
        model = load(store, project, name, version)
        if model is None:
            return
        yield model


def by_id(store: Store, model: str) -> Model:
    """Return the model of an id `<project>/<name>/<version>` that is in the book."""
    record = store.get(KIND, model)
    if record is None:
        raise Broken(f"model {model} is gone")
    return read(Model, record)
