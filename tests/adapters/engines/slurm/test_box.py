"""The box round a rank that Slurm starts: what a job sets works on nothing outside of it."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from testbeds.slurm import SlurmCluster
from tests.conformance.benches import slurm_bench

from hutong.core.work.states import AttemptState


@pytest.mark.slow
def test_no_variable_of_a_job_works_on_launchers_or_on_the_box(
    tmp_path: Path, slurm_cluster: SlurmCluster
) -> None:
    """What the job calls bwrap, first in its PATH, is not started; srun reads no file of the job's."""
    bundle, text = tmp_path / "bundle.tar", b"#!/bin/sh\n/usr/bin/touch escaped\n"
    with tarfile.open(bundle, "w") as tar:
        member = tarfile.TarInfo("bwrap")
        member.mode, member.size = 0o755, len(text)
        tar.addfile(member, io.BytesIO(text))
    envs = (("PATH", "."), ("LD_PRELOAD", "./a.so"), ("SLURM_CONF", "./slurm.conf"))
    with slurm_bench(tmp_path, slurm_cluster, "bwrap") as bench:
        order = bench.order("/usr/bin/id -u; echo $PATH $LD_PRELOAD $SLURM_CONF", envs=envs)
        bench.engine.submit(replace(order, staged=((".", "bundle", bundle),)))
        assert bench.finish(order.key).state is AttemptState.SUCCEEDED
        assert not (tmp_path / "site" / "attempts" / order.key / "work" / "escaped").exists()
        assert "65534\n. ./a.so ./slurm.conf\n" in bench.log(order.key)
