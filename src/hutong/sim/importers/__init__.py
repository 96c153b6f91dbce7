"""Importers of public cluster traces: `read` takes a file and gives a trace, or says what is wrong."""

from hutong.sim.importers.imported import Imported
from hutong.sim.importers.llm import Rates, Requests, read_rates, read_requests
from hutong.sim.importers.philly import read_vc_config
from hutong.sim.importers.registry import KINDS, Kind, guess, read, read_imported
from hutong.sim.importers.sia import types_in

__all__ = [
    "KINDS",
    "Imported",
    "Kind",
    "Rates",
    "Requests",
    "guess",
    "read",
    "read_imported",
    "read_rates",
    "read_requests",
    "read_vc_config",
    "types_in",
]
