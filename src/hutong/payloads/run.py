"""One training run: its data, model and optimizer, a step of all ranks, its checkpoints and its result."""

import argparse
import json
import os
import platform
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from corpus import (
    BOS,
    EOS,
    PAD,
    SPECIAL,
    TOKENIZER,
    TOKENS,
    Corpus,
    CorpusError,
    build_corpus,
    write_atomically,
)
from llama import AdamW, Model, Shape, export_model
from ranks import Fatal, Team
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

VALIDATION_ROWS, VALIDATION_SHARE = 32, 0.05
CHECKPOINT = "checkpoint.safetensors"


def load_tokens(options: argparse.Namespace, team: Team) -> tuple[Tensor, int, Corpus | None]:
    """Return all tokens and the size of the vocabulary; rank 0 builds them and also gets the manifest.

    The other ranks receive the tokens themselves: nothing depends on a shared folder, or on nodes with
    exactly the same Python.
    """
    corpus, tokens, facts = None, None, [0, 0]
    if team.place.leads:
        try:
            corpus = build_corpus(
                options.corpus,
                options.corpus_dir,
                limit_bytes=int(options.megabytes * 1e6),
                vocab=options.vocab,
            )
            data = bytearray((options.corpus_dir / TOKENS).read_bytes())
            tokens = torch.frombuffer(data, dtype=torch.uint16).to(torch.int32)
            facts = [corpus.tokens, corpus.vocab]
        except CorpusError as error:
            team.share_words([0, 0])
            raise Fatal(f"corpus: {error}") from error
    count, vocab = team.share_words(facts)
    if not count:
        raise Fatal("rank 0 could not build the corpus; its log says why")
    if tokens is None:
        tokens = torch.empty(count, dtype=torch.int32)
    if count < 40 * options.ctx:
        raise Fatal(f"the corpus has only {count} tokens: raise --megabytes or lower --ctx")
    return team.share(tokens), vocab, corpus


class Run:
    """One training: its data, model, optimizer, and how far it is."""

    def __init__(self, options: argparse.Namespace, team: Team) -> None:
        """Prepare everything up to the first step, from the last checkpoint if there is one."""
        self.options, self.team = options, team
        self.tokens, vocab, self.corpus = load_tokens(options, team)
        cut = int(len(self.tokens) * (1 - VALIDATION_SHARE))
        self.train, held_out = self.tokens[:cut], self.tokens[cut:]
        torch.manual_seed(options.seed)
        hidden = options.dim * 8 // 3 // 32 * 32
        shape = Shape(vocab, options.dim, options.layers, options.dim // 32, hidden)
        # Two more numbers ride along with the gradients: the loss, and whether some rank must stop.
        self.model = Model(shape, options.ctx, spare=2)
        self.optimizer = AdamW(self.model)
        self.validation = self._cut(held_out, 0, VALIDATION_ROWS, options.seed)
        self.step, self.loss_before, self.saved_loss = 0, 0.0, 0.0
        self.resumed = self._resume()
        self.start_step = self.step
        self.validation_loss = self.validate() if team.place.leads else 0.0
        if team.place.leads:
            self.loss_before = self.loss_before if self.resumed else self.validation_loss

    def _cut(self, tokens: Tensor, step: int, rows: int, salt: int) -> Tensor:
        width = self.options.ctx + 1
        generator = torch.Generator().manual_seed(step * 65_537 + self.team.place.rank * 257 + salt)
        starts = torch.randint(0, len(tokens) - width, (rows,), generator=generator).tolist()
        return torch.stack([tokens[start : start + width] for start in starts]).long()

    def validate(self) -> float:
        """Return the mean loss over the held-out rows, in nats."""
        with torch.no_grad():
            return float(self.model.loss(self.validation))

    def rate(self, step: int) -> float:
        """Return the learning rate of a step from 1: a short rise, a level stretch, a linear fall."""
        rise, fall = min(20, self.options.steps), 0.5 * self.options.steps
        left = self.options.steps - step + 1
        return self.options.rate * min(1.0, step / rise, max(left, 0) / fall)

    def advance(self, wish: float) -> tuple[float, float]:
        """Take one step unless some rank wishes otherwise; return its mean loss and the sum of wishes.

        A step that anyone wished away changed nothing.
        """
        grads = self.model.grads
        grads.zero_()
        if not wish:
            loss = self.model.loss(self._cut(self.train, self.step, self.options.batch, self.options.seed))
            loss.backward()
            grads[-2] = loss.detach()
        grads[-1] = wish
        self.team.average(grads)
        if wished := float(grads[-1]) * self.team.place.world:
            return 0.0, wished
        self.step += 1
        self.optimizer.step(self.step, self.rate(self.step))
        return float(grads[-2]), 0.0

    def save(self) -> None:
        """Write the checkpoint, on rank 0, whole or not at all."""
        self.validation_loss = self.validate()
        path = self.options.checkpoints / CHECKPOINT
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "loss_before": self.loss_before,
            "validation_loss": self.validation_loss,
            "identity": self._identify(),
        }
        vectors = {
            "flat": self.model.flat.detach(),
            "mean": self.optimizer.mean,
            "square": self.optimizer.square,
        }
        write_atomically(path, serialize(vectors, metadata={"state": json.dumps(state)}))

    def _identify(self) -> dict[str, object]:
        """What must be the same for a checkpoint to be continued."""
        return {
            "shape": asdict(self.model.shape),
            "corpus": self.corpus.tokens_sha256 if self.corpus else "",
            "seed": self.options.seed,
        }

    def _resume(self) -> bool:
        """Take over the last checkpoint on rank 0 and give it to all ranks; return whether there was one."""
        path, state = self.options.checkpoints / CHECKPOINT, None
        if self.team.place.leads and path.is_file():
            state = self._load(path)
        found, self.step = self.team.share_words([int(state is not None), state["step"] if state else 0])
        self.team.share(self.model.flat.detach())
        if found:
            self.team.share(self.optimizer.mean)
            self.team.share(self.optimizer.square)
        return bool(found)

    def _load(self, path: Path) -> dict:
        try:
            with safe_open(path, framework="pt") as file:
                state = json.loads(file.metadata()["state"])
                vectors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise Fatal(f"{path} is no checkpoint of this program ({error}); move it away") from error
        mine = self._identify()
        if state["identity"] != mine:
            unlike = sorted(name for name in mine if state["identity"].get(name) != mine[name])
            raise Fatal(f"{path} is of another run ({', '.join(unlike)} differ); move it away or match it")
        self.model.flat.detach().copy_(vectors["flat"])
        self.optimizer.mean.copy_(vectors["mean"])
        self.optimizer.square.copy_(vectors["square"])
        self.loss_before, self.saved_loss = state["loss_before"], state["validation_loss"]
        return state

    def export(self, seconds: float) -> Path:
        """Write the model and its lineage under the kept folder and return where."""
        folder, partial = self.options.out / "model", self.options.out / ".model.partial"
        shutil.rmtree(partial, ignore_errors=True)
        env = os.environ
        lineage = {
            "job": env.get("HUTONG_JOB_ID", ""),
            "attempt": int(env.get("HUTONG_ATTEMPT", "0") or 0),
            "corpus": asdict(self.corpus),
            "steps": self.step,
            "loss_before": round(self.loss_before, 4),
            "loss_after": round(self.validation_loss, 4),
            "parameters": self.model.shape.parameters,
            "world": self.team.place.world,
            "seconds": round(seconds, 1),
            "device": "cpu",
            "seed": self.options.seed,
            "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")}
            | {"python": platform.python_version()},
        }
        numbers = {name: SPECIAL.index(token) for name, token in (("pad", PAD), ("bos", BOS), ("eos", EOS))}
        export_model(
            self.model,
            partial,
            tokenizer=(self.options.corpus_dir / TOKENIZER).read_bytes(),
            ids=numbers,
            extra={"lineage.json": json.dumps(lineage, ensure_ascii=False, indent=1) + "\n"},
        )
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
        return folder
