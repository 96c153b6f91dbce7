"""Builds a small training corpus and its tokenizer from real text that is already on the machine.

`stdlib` is Python's own standard library: the source of its modules, and every documentation string as a
question and its answer. `zh` is the verse and sayings of Debian's package fortunes-zh. Nothing is downloaded.
The result depends only on the recipe and on the files read, so two machines with the same Python agree on it.
"""

import argparse
import ast
import hashlib
import json
import os
import platform
import re
import sys
import sysconfig
import warnings
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PAD, BOS, EOS, USER, ASSISTANT, SYSTEM = (
    "<|pad|>", "<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>", "<|system|>",
)  # fmt: skip
SPECIAL = (PAD, BOS, EOS, USER, ASSISTANT, SYSTEM)
NAMES = ("stdlib", "zh")
TOKENS, TOKENIZER, MANIFEST = "tokens.bin", "tokenizer.json", "corpus.json"

# Installed packages are not the library; tests and code-page tables are not text worth learning.
_SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "encodings", "__pycache__"})
FORTUNES = Path("/usr/share/games/fortunes")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_SHARE_FOR_TOKENIZER = 400_000  # characters: enough for a vocabulary of a few thousand


class CorpusError(Exception):
    """The corpus cannot be built here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text of one source file, ready for the tokenizer."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was built: where from, under which licence, how much, and the digests that pin it.

    `sha256` is over the documents in order, `tokens_sha256` over the token file.
    """

    name: str
    licence: str
    source: str
    files: int
    bytes: int
    sha256: str
    tokens: int
    vocab: int
    tokens_sha256: str
    recipe: str


def build_corpus(
    name: str, folder: Path, *, limit_bytes: int, vocab: int, fortunes: Path = FORTUNES
) -> Corpus:
    """Write the token file, tokenizer and manifest into `folder`, or reuse those of the same recipe.

    `fortunes` is where the package fortunes-zh keeps its files. Raises CorpusError if the text is not here.
    """
    recipe = f"{name}/{limit_bytes}/{vocab}/python-{platform.python_version()}/1"
    if known := read_corpus(folder, recipe=recipe):
        return known
    documents, licence, source = _gather(name, limit_bytes, fortunes)
    tokenizer = _train_tokenizer(documents, vocab)
    tokens = array("H")
    for encoded in tokenizer.encode_batch([document.text for document in documents]):
        tokens.extend(encoded.ids)
    if sys.byteorder == "big":
        tokens.byteswap()
    data = tokens.tobytes()
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.text.encode())
        digest.update(b"\0")
    corpus = Corpus(
        name=name,
        licence=licence,
        source=source,
        files=len({document.path for document in documents}),
        bytes=sum(len(document.text.encode()) for document in documents),
        sha256=digest.hexdigest(),
        tokens=len(tokens),
        vocab=tokenizer.get_vocab_size(),
        tokens_sha256=hashlib.sha256(data).hexdigest(),
        recipe=recipe,
    )
    folder.mkdir(parents=True, exist_ok=True)
    # The manifest comes last: where it is, the rest is whole.
    write_atomically(folder / TOKENS, data)
    write_atomically(folder / TOKENIZER, tokenizer.to_str().encode())
    write_atomically(folder / MANIFEST, json.dumps(asdict(corpus), indent=1).encode() + b"\n")
    return corpus


def read_corpus(folder: Path, *, recipe: str) -> Corpus | None:
    """Return the corpus in `folder` if it is whole and of this recipe, else None."""
    try:
        corpus = Corpus(**json.loads((folder / MANIFEST).read_bytes()))
        whole = hashlib.sha256((folder / TOKENS).read_bytes()).hexdigest() == corpus.tokens_sha256
    except (OSError, ValueError, TypeError):
        return None
    return corpus if whole and corpus.recipe == recipe and (folder / TOKENIZER).is_file() else None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the whole new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _gather(name: str, limit_bytes: int, fortunes: Path) -> tuple[list[Document], str, str]:
    if name == "stdlib":
        root = Path(sysconfig.get_path("stdlib"))
        documents = list(_within(_read_stdlib(root), limit_bytes))
        licence, source = "PSF-2.0", f"Python {platform.python_version()} standard library"
        missing = f"no Python source under {root}: this Python was installed without its library's source"
    elif name == "zh":
        documents = list(_within(_read_fortunes(fortunes), limit_bytes))
        licence, source = "GPL-3.0-or-later", "Debian package fortunes-zh"
        missing = f"no Chinese text under {fortunes}: apt-get install fortunes-zh"
    else:
        raise CorpusError(f"corpus: {name!r} is unknown; one of {', '.join(NAMES)}")
    if not documents:
        raise CorpusError(missing)
    return documents, licence, source


def _within(documents: Iterator[Document], limit_bytes: int) -> Iterator[Document]:
    room = limit_bytes
    for document in documents:
        room -= len(document.text.encode())
        if room < 0:
            return
        yield document


def _read_stdlib(root: Path) -> Iterator[Document]:
    """Yield modules in the order of their names' digests: stable, and a fair mix of the whole library."""

    def digest(relative: Path) -> str:
        return hashlib.sha256(relative.as_posix().encode()).hexdigest()

    modules = (path.relative_to(root) for path in root.rglob("*.py"))
    for relative in sorted((m for m in modules if not _SKIPPED.intersection(m.parts)), key=digest):
        try:
            text = (root / relative).read_text(encoding="utf-8")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escapes in old modules are not our news
                tree = ast.parse(text)
        except (OSError, ValueError, SyntaxError):
            continue
        name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        yield Document(str(relative), f"{BOS}{text}{EOS}")
        for question, answer in _explain(name, tree):
            yield Document(str(relative), format_turn(question, answer))


def _explain(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if text := ast.get_docstring(node):
            name = module if isinstance(node, ast.Module) else f"{module}.{node.name}"
            yield f"What is {name}?", text


def _read_fortunes(root: Path) -> Iterator[Document]:
    for name in ("tang300", "song100", "chinese"):
        path = root / name
        if not path.is_file():
            continue
        text = _COLOR.sub("", path.read_text(encoding="utf-8", errors="replace"))
        for part in re.split(r"^%$", text, flags=re.MULTILINE):
            # What quotes a work and holds no Latin letter is verse or a saying, not a manual.
            if "《" in part and not re.search(r"[A-Za-z\u2500-\u257f]", part):
                lines = [line.strip() for line in part.strip().splitlines() if line.strip()]
                source = [line for line in lines if "《" in line or line.startswith("作者")]
                body = [line for line in lines if line not in source]
                if body:
                    title = " ".join(line.lstrip("- ").removeprefix("题目:") for line in source)
                    yield Document(name, format_turn(title, "\n".join(body)))


def format_turn(question: str, answer: str) -> str:
    """Return one exchange in the form that the chat template of the trained model makes."""
    return f"{BOS}{USER}{question}{ASSISTANT}{answer}{EOS}"


def _train_tokenizer(documents: list[Document], vocab: int):  # noqa: ANN202  (imported below, where needed)
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    sample, room = [], _SHARE_FOR_TOKENIZER
    for document in documents:
        if room <= 0:
            break
        sample.append(document.text)
        room -= len(document.text)
    tokenizer.train_from_iterator(sample, trainer)
    return tokenizer


def main() -> int:
    """Build a corpus from the command line and print its manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", choices=NAMES, default="stdlib")
    parser.add_argument("--out", type=Path, default=Path("corpus"))
    parser.add_argument("--megabytes", type=float, default=3.0, help="upper bound of text (default: 3)")
    parser.add_argument("--vocab", type=int, default=2048, help="tokens of the vocabulary (default: 2048)")
    parser.add_argument("--fortunes", type=Path, default=FORTUNES, help="where fortunes-zh keeps its files")
    chosen = parser.parse_args()
    if not 512 <= chosen.vocab <= 65_535:
        parser.error(f"--vocab: {chosen.vocab} is not between 512 and 65535")
    try:
        corpus = build_corpus(
            chosen.corpus,
            chosen.out,
            limit_bytes=int(chosen.megabytes * 1e6),
            vocab=chosen.vocab,
            fortunes=chosen.fortunes,
        )
    except CorpusError as error:
        print(f"corpus: {error}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(corpus), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
