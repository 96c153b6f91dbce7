"""Some cards, and the platform's check, as main hands them to the command line."""

from collections.abc import Mapping

from hutong.clients.sdk.importers.draft import Card, Imported
from hutong.clients.sdk.jobfile import parse_job
from hutong.clients.sdk.yaml_text import write_job
from hutong.core.capacity.accelerators import ACCELERATORS, model_of
from hutong.core.work.check import Catalogue, check_spec
from hutong.core.work.spec import JobSpec

MODELS = ("H100", "A100", "H20", "Ascend910B", "MLU370", "MI300X", "CPU")
CARDS = tuple(Card(each, ACCELERATORS[each].vendor, ACCELERATORS[each].memory_bytes) for each in MODELS)
KNOWN = Catalogue(model_of, tuple(ACCELERATORS))


def checked(made: Imported) -> JobSpec:
    """Return the spec of an import, and see that its YAML is read as the same job."""
    spec = check(made.job.document)
    assert parse_job(write_job(made.job.document).encode()).document == made.job.document
    return spec


def check(document: Mapping[str, object]) -> JobSpec:
    """Check a document as `hutong import` does: a local work folder is packed later."""
    return check_spec({key: value for key, value in document.items() if key != "workdir"}, KNOWN)
