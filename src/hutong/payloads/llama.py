"""A Llama-architecture language model in plain PyTorch that starts fast on a CPU and can be saved for anyone.

All weights lie in one flat vector, and so do their gradients: one all-reduce joins the ranks, the optimizer
is a few operations on vectors, and a checkpoint is three vectors. What `export_model` writes loads as
`LlamaForCausalLM` in transformers, with the same outputs.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

ROPE_BASE = 10_000.0
NORM_EPSILON = 1e-5
MAX_POSITIONS = 2_048

CHAT_TEMPLATE = (
    "{{- '<|bos|>' -}}"
    "{%- for message in messages -%}"
    "{{- '<|' + (message['role'] if message['role'] in ('system', 'assistant') else 'user') + '|>' -}}"
    "{{- message['content'] -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that define a model."""

    vocab: int
    dim: int
    layers: int
    heads: int
    hidden: int

    @property
    def head_dim(self) -> int:
        """The width of one attention head."""
        return self.dim // self.heads

    def weights(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the name and dimensions of every weight, in the order of the flat vector."""
        yield "embed", (self.vocab, self.dim)
        for layer in range(self.layers):
            yield f"{layer}.norm_in", (self.dim,)
            yield f"{layer}.qkv", (3 * self.dim, self.dim)
            yield f"{layer}.out", (self.dim, self.dim)
            yield f"{layer}.norm_mid", (self.dim,)
            yield f"{layer}.gate_up", (2 * self.hidden, self.dim)
            yield f"{layer}.down", (self.dim, self.hidden)
        yield "norm", (self.dim,)

    @property
    def parameters(self) -> int:
        """The number of parameters; the output layer shares the embedding."""
        return sum(math.prod(size) for _, size in self.weights())


class Model:
    """The weights with their gradients, and the loss of a batch under them."""

    def __init__(self, shape: Shape, ctx: int, spare: int = 0) -> None:
        """Allocate and initialize; `spare` more numbers travel at the end of the gradient vector."""
        self.shape = shape
        self.flat = torch.empty(shape.parameters)
        self.grads = torch.zeros(shape.parameters + spare)
        self.decayed = torch.zeros(shape.parameters)
        self.weight: dict[str, Tensor] = {}
        start = 0
        for name, size in shape.weights():
            end = start + math.prod(size)
            view = self.flat[start:end].view(size)
            self._initialize(name, view)
            self.decayed[start:end] = float(len(size) == 2 and name != "embed")
            view.requires_grad_()
            view.grad = self.grads[start:end].view(size)
            self.weight[name] = view
            start = end
        steps = torch.arange(0, shape.head_dim, 2) / shape.head_dim
        angles = torch.outer(torch.arange(ctx), ROPE_BASE**-steps)
        angles = torch.cat((angles, angles), dim=1)
        self._cos, self._sin = angles.cos(), angles.sin()

    def _initialize(self, name: str, view: Tensor) -> None:
        if view.dim() == 1:
            view.fill_(1.0)
        else:
            # The two layers that write into the residual stream start smaller, by its depth.
            residual = name.endswith((".out", ".down"))
            view.normal_(0.0, 0.02 / math.sqrt(2 * self.shape.layers) if residual else 0.02)

    def loss(self, tokens: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats of predicting `tokens[:, 1:]`; shape (batch, ctx + 1)."""
        logits = self.logits(tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def logits(self, tokens: Tensor) -> Tensor:
        """Return the scores of the next token, shape (batch, length, vocab)."""
        x = functional.embedding(tokens, self.weight["embed"])
        for layer in range(self.shape.layers):
            x = x + self._attend(layer, self._normalize(f"{layer}.norm_in", x))
            x = x + self._transform(layer, self._normalize(f"{layer}.norm_mid", x))
        return functional.linear(self._normalize("norm", x), self.weight["embed"])

    def _normalize(self, name: str, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (self.shape.dim,), self.weight[name], NORM_EPSILON)

    def _attend(self, layer: int, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        qkv = functional.linear(x, self.weight[f"{layer}.qkv"])
        qkv = qkv.view(batch, length, 3, self.shape.heads, self.shape.head_dim).permute(2, 0, 3, 1, 4)
        turned = self._turn(qkv[:2])
        mixed = functional.scaled_dot_product_attention(turned[0], turned[1], qkv[2], is_causal=True)
        return functional.linear(
            mixed.transpose(1, 2).reshape(batch, length, dim), self.weight[f"{layer}.out"]
        )

    def _turn(self, x: Tensor) -> Tensor:
        """Apply rotary positions to queries and keys together, shape (2, batch, heads, length, head_dim)."""
        length = x.shape[-2]
        low, high = x.chunk(2, dim=-1)
        return x * self._cos[:length] + torch.cat((-high, low), dim=-1) * self._sin[:length]

    def _transform(self, layer: int, x: Tensor) -> Tensor:
        gate, up = functional.linear(x, self.weight[f"{layer}.gate_up"]).chunk(2, dim=-1)
        return functional.linear(functional.silu(gate) * up, self.weight[f"{layer}.down"])


class AdamW:
    """Adam with decoupled weight decay over the flat vector, gradients clipped by their norm."""

    def __init__(self, model: Model, *, decay: float = 0.1, clip: float = 1.0) -> None:
        self.model = model
        self.mean = torch.zeros_like(model.flat)
        self.square = torch.zeros_like(model.flat)
        self.decay, self.clip = decay, clip

    @torch.no_grad()
    def step(self, step: int, rate: float) -> None:
        """Apply one update from `model.grads`; `step` counts from 1 and `rate` is the learning rate."""
        flat = self.model.flat
        grads = self.model.grads[: flat.numel()]
        norm = float(grads.norm())
        if norm > self.clip:
            grads.mul_(self.clip / norm)
        self.mean.lerp_(grads, 0.1)
        self.square.mul_(0.95).addcmul_(grads, grads, value=0.05)
        scale = (self.square / (1 - 0.95**step)).sqrt_().add_(1e-8)
        flat.addcmul_(flat, self.model.decayed, value=-rate * self.decay)
        flat.addcdiv_(self.mean, scale, value=-rate / (1 - 0.9**step))


def export_model(
    model: Model, folder: Path, *, tokenizer: bytes, ids: Mapping[str, int], extra: Mapping[str, str]
) -> None:
    """Write a folder that transformers, vLLM and the like load as it is; no pickle anywhere.

    `tokenizer` is a tokenizer.json, `ids` the numbers of pad, bos and eos, `extra` more files by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(_name_as_llama(model)), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_bytes(tokenizer)
    shape = model.shape
    special = {f"{name}_token_id": number for name, number in ids.items()}
    files = {
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": shape.vocab,
            "hidden_size": shape.dim,
            "intermediate_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "head_dim": shape.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": MAX_POSITIONS,
            "rms_norm_eps": NORM_EPSILON,
            "rope_theta": ROPE_BASE,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_BASE},
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            "dtype": "float32",
            **special,
        },
        "generation_config.json": {"do_sample": True, "temperature": 0.8, "top_p": 0.95, **special},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": MAX_POSITIONS,
            "clean_up_tokenization_spaces": False,
            **{f"{name}_token": f"<|{name}|>" for name in ids},
            "chat_template": CHAT_TEMPLATE,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for name, text in extra.items():
        (folder / name).write_text(text, encoding="utf-8")


def _name_as_llama(model: Model) -> Iterator[tuple[str, Tensor]]:
    weight = {name: tensor.detach() for name, tensor in model.weight.items()}
    yield "model.embed_tokens.weight", weight["embed"].clone()
    yield "model.norm.weight", weight["norm"].clone()
    for layer in range(model.shape.layers):
        inside = f"model.layers.{layer}"
        for name, part in zip("qkv", weight[f"{layer}.qkv"].chunk(3), strict=True):
            yield f"{inside}.self_attn.{name}_proj.weight", part.clone()
        for name, part in zip(("gate", "up"), weight[f"{layer}.gate_up"].chunk(2), strict=True):
            yield f"{inside}.mlp.{name}_proj.weight", part.clone()
        yield f"{inside}.self_attn.o_proj.weight", weight[f"{layer}.out"].clone()
        yield f"{inside}.mlp.down_proj.weight", weight[f"{layer}.down"].clone()
        yield f"{inside}.input_layernorm.weight", weight[f"{layer}.norm_in"].clone()
        yield f"{inside}.post_attention_layernorm.weight", weight[f"{layer}.norm_mid"].clone()
