"""Measures what a card reaches in dense matrix products, by precision, with PyTorch's own kernels.

Prints one JSON object a line and writes `rates.json`; if a card did the work also `figures.csv` for
`hutong capacity import`.
A product of n x n matrices counts as 2 n^3 operations; a figure is the median over repeats of at least
`--seconds`. Where a device gives wrong numbers nothing of that precision is told. A job whose cards are only
declared runs on the CPU: that is told as what it is, and no figure of a card is written.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

PRECISIONS = {
    "FP64": torch.float64,
    "FP32": torch.float32,
    "TF32": torch.float32,
    "FP16": torch.float16,
    "BF16": torch.bfloat16,
    "INT8": torch.int8,
}
BACKENDS = ("cuda", "npu", "mlu", "musa", "xpu")
ON_CUDA_ONLY = frozenset({"TF32", "INT8"})
CHECKED_ROWS = 8
# Of the largest element: what rounding of the inputs and of the sum may cost, with room.
TOLERANCE = {"FP64": 1e-10, "FP32": 1e-4, "TF32": 1e-2, "FP16": 2e-2, "BF16": 5e-2, "INT8": 0.0}


class WrongNumbers(Exception):
    """A device multiplied and the result is not right."""


def say(kind: str, **fields: object) -> None:
    """Print one JSON object as one line; the key `hutong` names its kind."""
    print(json.dumps({"hutong": kind, **fields}, ensure_ascii=False), flush=True)


def find_device() -> str:
    """Return the kind of card that this PyTorch can use, `cpu` if there is none."""
    for name in BACKENDS:
        with suppress(ImportError):  # Ascend's, Cambricon's and Moore Threads' come as packages beside torch
            if name not in {"cuda", "xpu"}:
                import_module(f"torch_{name}")
        backend = getattr(torch, name, None)
        if backend is not None and backend.is_available():
            return name
    return "cpu"


def synchronize(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device != "cpu":
        getattr(torch, device).synchronize()


def make_matrices(precision: str, size: int, device: str) -> tuple[Tensor, Tensor]:
    """Return two matrices of small random numbers, the same ones each time."""
    torch.manual_seed(1)
    if precision == "INT8":
        left, right = (torch.randint(-4, 5, (size, size), dtype=torch.int8) for _ in range(2))
    else:
        left, right = (torch.randn(size, size).to(PRECISIONS[precision]) for _ in range(2))
    return left.to(device), right.to(device)


def multiply(precision: str, left: Tensor, right: Tensor) -> Tensor:
    """Return the product as the device makes it at this precision."""
    if precision == "INT8":
        return torch._int_mm(left, right)  # torch has no public name for it
    return left @ right


def check(precision: str, left: Tensor, right: Tensor, product: Tensor) -> None:
    """Compare the first rows with the same product in FP64 on the CPU; raises WrongNumbers."""
    wanted = left[:CHECKED_ROWS].cpu().double() @ right.cpu().double()
    error = (product[:CHECKED_ROWS].cpu().double() - wanted).abs().max() / wanted.abs().max()
    if not float(error) <= TOLERANCE[precision]:
        raise WrongNumbers(f"{precision}: off by {float(error):.3g} of the largest element")


def measure(precision: str, size: int, device: str, seconds: float) -> tuple[float, int]:
    """Return the median rate in teraflops (10^12 operations a second) and how many products were timed."""
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "TF32"
    left, right = make_matrices(precision, size, device)
    check(precision, left, right, multiply(precision, left, right))
    for _ in range(2):  # clocks rise, kernels are chosen
        multiply(precision, left, right)
    synchronize(device)
    times: list[float] = []
    until = time.monotonic() + seconds
    while len(times) < 5 or time.monotonic() < until:
        began = time.perf_counter()
        multiply(precision, left, right)
        synchronize(device)
        times.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(times) / 1e12, len(times)


def parse_options() -> argparse.Namespace:
    """Read and check the command line; exits with code 2 and the name of a wrong option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--card", default=os.environ.get("HUTONG_ACCELERATOR", ""), help="what it is called")
    parser.add_argument("--precision", action="append", choices=tuple(PRECISIONS), help="repeat for several")
    parser.add_argument("--size", type=int, default=0, help="rows of a matrix (8192 on cards, 1024 on CPU)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each precision")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("HUTONG_OUTPUTS", "outputs")))
    options = parser.parse_args()
    if options.size and not 64 <= options.size <= 65_536:
        parser.error(f"--size: {options.size} is not between 64 and 65536")
    if not 0 < options.seconds <= 3600:
        parser.error(f"--seconds: {options.seconds} is not above 0 and up to 3600")
    return options


def write_figures(path: Path, card: str, rates: dict[str, float], source: str) -> None:
    """Write the rows that `hutong capacity import` takes."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(("card", "precision", "teraflops", "basis", "source", "dated"))
        sheet.writerows(
            (card, name, f"{rate:.3f}", "framework", source, today) for name, rate in rates.items()
        )


def main() -> int:
    """Run from the command line; 1 if nothing could be measured."""
    options = parse_options()
    device = find_device()
    size = options.size or (1024 if device == "cpu" else 8192)
    wanted = options.precision or [
        name for name in PRECISIONS if device == "cuda" or name not in ON_CUDA_ONLY
    ]
    name = torch.cuda.get_device_name() if device == "cuda" else device
    say("start", card=options.card, device=name, size=size, torch=torch.__version__)
    rates: dict[str, float] = {}
    for precision in wanted:
        try:
            rate, products = measure(precision, size, device, options.seconds)
        except (WrongNumbers, RuntimeError, NotImplementedError) as error:
            say("left_out", precision=precision, reason=str(error).splitlines()[0][:300])
            continue
        rates[precision] = rate
        say("rate", precision=precision, teraflops=round(rate, 3), products=products)
    options.out.mkdir(parents=True, exist_ok=True)
    told = {"device": name, "size": size, "torch": torch.__version__, "teraflops": rates}
    (options.out / "rates.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if device == "cpu":
        say(
            "result",
            figures=0,
            reason=f"no card was used: these are rates of this CPU, not of {options.card}",
        )
    elif rates and options.card:
        where = f"hutong matmul.py, n = {size}, torch {torch.__version__} on {name}, {platform.node()}"
        write_figures(options.out / "figures.csv", options.card, rates, where[:300])
        say("result", figures=len(rates), file="figures.csv")
    else:
        say("result", figures=0, reason="nothing was measured, or --card does not say of which card")
    return 0 if rates else 1


if __name__ == "__main__":
    sys.exit(main())
