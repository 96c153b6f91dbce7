"""What each process of the platform loads: a compiler or a drawing library must not come along unasked."""

import subprocess
import sys

import pytest

HEAVY = ("numba", "llvmlite", "reportlab", "PIL", "xlsxwriter", "highspy", "torch")


@pytest.mark.parametrize("module", ["hutong.server.api.app", "hutong.server.gateway.app"])
def test_what_answers_people_loads_neither_a_compiler_nor_what_draws(module: str) -> None:
    code = f"import sys, {module}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
