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
print(*sorted({"sqlalchemy", "psycopg", "cryptography", "fastapi", "jinja2"} & sys.modules.keys()))
"""


def test_an_agent_loads_nothing_of_the_platform() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
