"""Models: which files may be one, what proves that they load, and where a version comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from hutong.core.kernel.documents import encode
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.work.facts import OutputFile
from hutong.core.work.fold import Attempt, Job

FILES_MAX = 10_000
_SHOWN = 10

_PICKLES = frozenset(
    {
        ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".h5",
        ".hdf5", ".keras", ".pb", ".mar", ".nemo", ".torch", ".pt2",
    }
)  # fmt: skip
_PROGRAMS = frozenset(
    {".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".exe", ".sh", ".js", ".jar", ".class", ".wasm", ".pth"}
)
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".whl"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file set by content, sorted by path. Its canonical bytes are an object, named by their digest."""

    files: tuple[OutputFile, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a model comes from; `corpus` and `training` are what the job itself wrote down about them."""

    job: str
    attempt: int
    site: str
    accelerator: str
    corpus: Mapping[str, object]
    training: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Model:
    """A version of a model. `digest` is that of its manifest: the same files have the same digest."""

    project: str
    name: str
    version: int
    digest: str
    size_bytes: int
    files: tuple[OutputFile, ...]
    lineage: Lineage
    created_ms: int
    by: str

    @property
    def id(self) -> str:
        """`<project>/<name>/<version>`."""
        return model_id(self.project, self.name, self.version)


def model_id(project: str, name: str, version: int) -> str:
    """Return the id of a version of a model."""
    return f"{project}/{name}/{version}"


def select_files(outputs: Sequence[OutputFile], folder: str) -> tuple[OutputFile, ...]:
    """Return the kept files below `folder`, with paths from there, in order of their paths.

    An empty folder or `.` means all. Raises Refused `no_model` that names the folders there are.
    """
    start = folder.strip("/").removeprefix("./")
    prefix = f"{start}/" if start not in {"", "."} else ""
    found = sorted(
        (
            OutputFile(each.path.removeprefix(prefix), each.size_bytes, each.digest)
            for each in outputs
            if each.path.startswith(prefix)
        ),
        key=lambda each: each.path,
    )
    if found:
        return tuple(found)
    folders = sorted({each.path.rpartition("/")[0] or "." for each in outputs})[:_SHOWN]
    there = (
        f"there are: {', '.join(folders)}" if folders else "the job kept no files: name a folder in `outputs`"
    )
    message = f"the job kept no files below {folder!r}"
    raise Refused("no_model", message, (Problem("/path", message, there),))


def check_files(files: Sequence[OutputFile]) -> None:
    """Raise Refused `unsafe_model` or `no_model` unless these files can be a model that is safe to load.

    Weights must be safetensors, which hold numbers only: formats that can run code when they are read,
    programs, and archives that may hide either are refused, each by its name.
    """
    unsafe = [(each.path, why) for each in files if (why := _danger(each.path))]
    if unsafe:
        path, why = unsafe[0]
        problems = tuple(
            Problem("/path", f"{name} {reason}", "weights as .safetensors, the rest as .json or text")
            for name, reason in unsafe[:_SHOWN]
        )
        raise Refused("unsafe_model", f"{path} {why}", problems)
    lacks = []
    if not any(each.path == "config.json" for each in files):
        lacks.append("config.json")
    if not any(each.path.endswith(".safetensors") for each in files):
        lacks.append("a .safetensors file")
    if lacks or len(files) > FILES_MAX:
        message = f"the folder has no {' and no '.join(lacks)}" if lacks else f"more than {FILES_MAX} files"
        hint = "the folder that save_pretrained(..., safe_serialization=True) writes"
        raise Refused("no_model", message, (Problem("/path", message, hint),))


def _danger(path: str) -> str:
    suffixes = [f".{part}" for part in path.rpartition("/")[2].lower().split(".")[1:]]
    last = suffixes[-1] if suffixes else ""
    if last in _PICKLES:
        return f"is refused: {last} files can run code when they are loaded"
    if last in _PROGRAMS:
        return "is refused: a model has no programs in it"
    if last in _ARCHIVES:
        return "is refused: an archive may hide what is not safe to load"
    return ""


def make_manifest(files: Iterable[OutputFile]) -> tuple[bytes, str]:
    """Return the canonical bytes of a manifest and their digest `sha256:<hex>`."""
    data = encode(Manifest(tuple(sorted(files, key=lambda each: each.path))))
    return data, f"sha256:{sha256(data).hexdigest()}"


def trace_lineage(
    job: Job, attempt: Attempt, lineage: Mapping[str, object], corpus: Mapping[str, object]
) -> Lineage:
    """Return where the outputs of an attempt come from.

    `lineage` and `corpus` are the documents that the job wrote beside the model (empty where it did not).
    What they say of the job is theirs to say; the job, attempt, site and card are from the book.
    """
    told = lineage.get("corpus")
    of_corpus = told if isinstance(told, Mapping) else corpus
    training = {key: each for key, each in lineage.items() if key not in {"corpus", "job", "attempt"}}
    return Lineage(
        job=job.id,
        attempt=attempt.number,
        site=attempt.site,
        accelerator=attempt.accelerator,
        corpus=_plain_mapping(of_corpus),
        training=_plain_mapping(training),
    )


def _plain_mapping(value: Mapping[str, object]) -> dict[str, object]:
    return {str(key)[:200]: _plain(each, 4) for key, each in list(value.items())[:200]}


def _plain(value: object, depth: int) -> object:
    """Bound a document that we did not write; fractions become decimal strings, as everywhere in the book."""
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < 1 << 53 else str(value)
        case float():
            return repr(value)
        case str():
            return value[:2_000]
        case Mapping() if depth:
            return {str(key)[:200]: _plain(each, depth - 1) for key, each in list(value.items())[:200]}
        case list() | tuple() if depth:
            return [_plain(each, depth - 1) for each in value[:200]]
    return "…"
