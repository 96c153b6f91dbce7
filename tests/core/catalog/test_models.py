"""What may be a model, and what is known of where it comes from."""

import json
from dataclasses import replace

import pytest

from hutong.core.catalog.models import check_files, make_manifest, select_files, trace_lineage
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import JobId
from hutong.core.work.facts import Fact, OutputFile, Placed, Queued, Submitted
from hutong.core.work.fold import fold
from hutong.wire.agent import Manifest as WireManifest

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
CONFIG, WEIGHTS = OutputFile("config.json", 5, A), OutputFile("model.safetensors", 9, B)
JOB = JobId("0" * 26)


def test_only_the_files_below_the_folder_are_taken() -> None:
    outputs = (
        OutputFile("model/b/x.json", 1, A), OutputFile("model/a.json", 1, A), OutputFile("model2/c", 1, A),
        OutputFile("log.txt", 1, A),
    )  # fmt: skip
    for folder in ("model", "model/", "./model"):
        assert [each.path for each in select_files(outputs, folder)] == ["a.json", "b/x.json"]
    assert len(select_files(outputs, ".")) == 4
    with pytest.raises(Refused) as refusal:
        select_files(outputs, "mode")
    assert "model2" in refusal.value.problems[0].hint


@pytest.mark.parametrize(
    "path",
    [
        "pytorch_model.bin", "x.pt", "x.pth", "a/optimizer.PKL", "x.pickle", "x.ckpt", "x.joblib", "x.npy",
        "weights.npz", "x.h5", "model.safetensors.pkl", "modeling_custom.py", "lib.so", "all.tar.gz", "x.zip",
    ],
)  # fmt: skip
def test_what_may_run_code_is_refused_by_name(path: str) -> None:
    with pytest.raises(Refused, match=path) as refusal:
        check_files((CONFIG, WEIGHTS, OutputFile(path, 1, A)))
    assert refusal.value.code == "unsafe_model"
    assert path in refusal.value.problems[0].message


def test_safe_files_are_taken() -> None:
    names = (
        "tokenizer.json",
        "README.md",
        "merges.txt",
        "pytorch_model.bin.index.json",
        "LICENSE",
        "t.model",
    )
    check_files((CONFIG, WEIGHTS, *(OutputFile(name, 1, A) for name in names)))


def test_a_model_has_a_config_and_weights() -> None:
    for files, lacks in (((CONFIG,), "safetensors"), ((WEIGHTS,), "config.json"), ((), "config.json")):
        with pytest.raises(Refused, match=lacks):
            check_files(files)
    with pytest.raises(Refused, match=r"config\.json"):
        check_files((replace(CONFIG, path="sub/config.json"), WEIGHTS))


def test_the_digest_depends_on_the_files_alone() -> None:
    data, digest = make_manifest((WEIGHTS, CONFIG))
    assert make_manifest((CONFIG, WEIGHTS)) == (data, digest)
    assert make_manifest((CONFIG, replace(WEIGHTS, digest=A)))[1] != digest
    assert make_manifest((CONFIG, replace(WEIGHTS, path="x.safetensors")))[1] != digest
    read = WireManifest.model_validate_json(data)
    assert [each.path for each in read.files] == ["config.json", "model.safetensors"]


def test_lineage_is_what_the_book_knows_and_the_job_tells_the_rest() -> None:
    job = fold(
        (
            Fact(JOB, 1, 10, "api", Submitted("li", "d")),
            Fact(JOB, 2, 11, "loop", Queued()),
            Fact(JOB, 3, 12, "loop", Placed(1, "haidian", "a100", "A100", 1, 1, 1, 1200, 300)),
        )
    )
    attempt = job.attempts[0]
    told = {
        "job": "another",
        "attempt": 9,
        "corpus": {"name": "zh", "tokens": 1 << 70},
        "loss": 2.5,
        "ok": True,
    }
    lineage = trace_lineage(job, attempt, told, {})
    assert (lineage.job, lineage.attempt, lineage.site, lineage.accelerator) == (JOB, 1, "haidian", "A100")
    assert lineage.corpus == {"name": "zh", "tokens": str(1 << 70)}
    assert lineage.training == {"loss": "2.5", "ok": True}
    assert trace_lineage(job, attempt, {}, {"name": "stdlib"}).corpus == {"name": "stdlib"}
    deep: dict[str, object] = {}
    for _ in range(50):
        deep = {"x": deep, "long": "y" * 10_000, "many": list(range(10_000))}
    assert len(json.dumps(dict(trace_lineage(job, attempt, {"deep": deep}, {}).training))) < 100_000
