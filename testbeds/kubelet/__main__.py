"""Runs the kubelet of one node, as its settings file says, until it is killed."""

import asyncio
import json
import sys
from pathlib import Path

from testbeds.kubelet.node import Kubelet, Settings

asyncio.run(Kubelet(Settings(**json.loads(Path(sys.argv[1]).read_text()))).run())
