"""What an agent carries: a centre's login node is small, and the platform's database not its business."""

import subprocess
import sys

CODE = """
import sys
from hutong.main import cli
try:
    cli(["agent", "run", "--config", "/nonexistent/agent.toml"])
except SystemExit:
    pass
assert "hutong.agent.run" in sys.modules
print(*sys.modules)
"""
FOREIGN = {"sqlalchemy", "psycopg", "cryptography", "fastapi", "jinja2", "numpy", "highspy", "obstore"}
SHAPES = {
    f"hutong.wire.{name}"
    for name in ("agent", "base", "meters", "sealed", "spread", "told", "transfers", "usage")
}


def test_an_agent_loads_nothing_of_the_platform_and_no_other_command() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded & FOREIGN == set()
    assert {each for each in loaded if each.startswith("hutong.wire.")} <= SHAPES
    assert {each for each in loaded if each.startswith("hutong.server.")} <= {"hutong.server.parent"}
    for part in ("hutong.sim", "hutong.up", "hutong.clients.portal", "hutong.clients.sdk.client"):
        assert part not in loaded
    assert not {each for each in loaded if each.startswith("hutong.") and each.endswith("_commands")}
