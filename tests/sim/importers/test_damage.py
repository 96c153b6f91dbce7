"""A file that was damaged at random gives a trace or a refusal, never another error."""

import random
from pathlib import Path

import pytest

from hutong.core.kernel.errors import Refused
from hutong.sim.importers import KINDS, read, read_rates, read_requests, read_vc_config

GOOD = {
    "swf": "; MaxProcs: 8\n1 0 -1 120 16 -1 -1 16 300 -1 1 7 -1 -1 2 -1 -1 -1\n" * 2,
    "philly": "job_id,user,vc,gpu_num,state,submit_time,duration\n0,u,a,1,COMPLETED,45,30\n",
    "philly-sia": "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-03 00:00:00,100,2,200,a\n",
    "philly-raw": '[{"vc": "a", "jobid": "j", "user": "u", "submitted_time": "2017-10-07 01:11:39",'
    ' "attempts": [{"start_time": "2017-10-07 01:12:09", "end_time": "2017-10-07 01:13:23", "detail":'
    ' [{"ip": "m4", "gpus": ["gpu0", "gpu1"]}]}]}]',
    "helios": "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
    "1,u,vc,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0\n",
    "acme": "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue\n"
    "1,u,1,8,128,Other,FAILED,2023-03-01 00:18:22+08:00,2023-03-01 00:18:54+08:00,,117,32\n",
    "openb": "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"
    "scheduled_time\np,12000,16384,1,460,T4,LS,Running,100,500,160\n",
    "hutong": "job,submitted,ran_s,limit_s,nodes,cards_per_node,accelerator,project,person,state\n"
    "j,2026-11-02T00:00:00Z,30.5,3600,2,4,910B,poems,li-na,SUCCEEDED\n",
    "gaia": "arrival_time,length,cpus\n0.5,0.75,4\n3.25,1.5,2\n",
    "pai": "job_id,user,num_inst,num_gpu,submit_time,duration\n0,u1,2,0.5,10,100\n",
    "sia": "name,time,application,num_replicas,batch_size\nb,775.66,bert,12,384\n",
    "gavel": "A3C\tcd %s && python3\t--max-steps\t0\t100\t0.000000\t4\n",
}
OPTIONS = {"sia": {"seconds": {"bert": 5}}, "gavel": {"steps_per_s": {"A3C": 5}}}
OTHERS = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n",
    "mooncake": '{"timestamp": 27, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n',
    "rates": "t,m\n0,212.5\n600,179.75\n",
    "vc": ",num\na,1\nb,2\n",
}
PIECES = [
    b"",
    b"-",
    b"9" * 30,
    b"\n",
    b",",
    b'"',
    b"\x00",
    b"\xff",
    b"nan",
    b"inf",
    b"e9",
    b"null",
    b"[]",
    b"\t",
]
ROUNDS = 60


def _damaged(text: str, chance: random.Random) -> bytes:
    data = text.encode()
    for _ in range(chance.randint(1, 2)):
        start = chance.randrange(len(data))
        data = data[:start] + chance.choice(PIECES) + data[start + chance.randrange(4) :]
    return data


def test_each_kind_has_a_file_to_damage() -> None:
    assert set(GOOD) == set(KINDS)


@pytest.mark.parametrize("kind", sorted({**GOOD, **OTHERS}))
def test_damage_is_refused_or_harmless(tmp_path: Path, kind: str) -> None:
    chance = random.Random(7)
    path = tmp_path / "damaged"
    read_it = {
        "azure": lambda: read_requests(path, "azure"),
        "mooncake": lambda: read_requests(path, "mooncake"),
        "rates": lambda: read_rates(path),
        "vc": lambda: read_vc_config(path),
    }.get(kind, lambda: read(path, kind, **OPTIONS.get(kind, {})))
    text = (GOOD | OTHERS)[kind]
    path.write_text(text)
    assert read_it()
    refusals = 0
    for _ in range(ROUNDS):
        path.write_bytes(_damaged(text, chance))
        try:
            read_it()
        except Refused:
            refusals += 1
    assert refusals
