"""Cards of Huawei: of the 910C one card has two dies, which its driver counts as two."""

from dataclasses import replace

from hutong.core.capacity.catalogue.model import GB, NOTES, Card, Names, figure, flagperf

_NAMES = Names(
    kubernetes=("huawei.com/Ascend910",),
    slurm=("npu:N", "npu:910B3:N"),
    tool="npu-smi",
    note="MindCluster: one name for all, label accelerator=huawei-Ascend910; Volcano: huawei.com/npu-core",
)
_BENCH = "benchmarks/computation"
_LIMULIDAE = "limulidae benchmark of accelerators"
_CLAIM = "claims that this project's research notes of 2026-11-22 list without their originals"
_MATRIX = "CloudMatrix384: 300 PF of 384 cards"


def _names(model: str) -> Names:
    hami = (f"huawei.com/{model}", f"huawei.com/{model}-memory", f"huawei.com/{model}-core")
    return replace(_NAMES, hami=hami)


def _variant(letter: str, teraflops: int, memory_gb: int, cores: int) -> Card:
    return Card(
        f"Ascend910{letter}", "Huawei", "cann", True, "D", memory_gb * GB, 0, 0,
        (figure("FP16", teraflops * 1000, NOTES, "D"),), _names(f"Ascend910{letter}"), cores=cores,
    )  # fmt: skip


CARDS = (
    Card(
        "Ascend910A", "Huawei", "cann", True, "C", 32 * GB, 0, 310,
        (
            figure("FP16", 256_000, "boardor on Ascend cards", "C"),
            figure("FP16", 320_000, "Atlas 900 PoD: 20.48 PF of 64 cards", "C"),
            figure("INT8", 512_000, NOTES, "D"),
            figure("INT8", 640_000, NOTES, "D"),
        ),
        _names("Ascend910A"), ("910A", "Ascend-910A"),
    ),
    Card(
        "Ascend910B", "Huawei", "cann", True, "B", 64 * GB, 1600, 350,
        (
            flagperf(
                "FP16", 313_200, f"{_BENCH}-FP16/ascend", "tool",
                "ascend-dmi, 313.182 there; one version of the file leaves nominal blank",
            ),
            flagperf("FP16", 313_000, f"{_BENCH}-FP16/ascend", "nominal", "in another version of the file",
                "C"),
            figure("FP16", 256_000, _CLAIM, "C"), figure("FP16", 320_000, _CLAIM, "C"),
            figure("FP16", 400_000, _CLAIM, "C"),
            flagperf("BF16", 304_277, f"{_BENCH}-BF16/ascend", "tool", "ascend-dmi"),
            figure("BF16", 328_000, _LIMULIDAE, "B", "framework"),
            flagperf("FP32", 80_000, f"{_BENCH}-FP32/ascend", "nominal"),
            flagperf("FP32", 82_920, f"{_BENCH}-FP32/ascend", "tool", "ascend-dmi, more than nominal"),
            figure("FP32", 87_000, _LIMULIDAE, "B", "framework"),
            flagperf("INT8", 608_554, f"{_BENCH}-INT8/ascend", "tool", "ascend-dmi"),
        ),
        _names("Ascend910B3"), ("910B", "Ascend-910B", "Ascend910B3", "910B3"), watts_milli=(364_500,
            400_000),
        cores=20,
        note="Atlas 800T A2; 364.5 W measured, TDP 400 W in one FlagPerf README; bandwidth: weak sources (C)",
    ),
    _variant("B1", 414, 0, 0),
    _variant("B2", 376, 64, 24),
    _variant("B4", 280, 32, 20),
    Card(
        "Ascend910B4-1", "Huawei", "cann", True, "D", 64 * GB, 0, 0, (), _names("Ascend910B4-1"),
        ("910B4-1",),
        note="a B4 with 64 GB, as HAMi names it; no figure found",
    ),
    Card(
        "Ascend910C", "Huawei", "cann", True, "C", 128 * GB, 3200, 310,
        (
            figure("FP16", 781_250, _MATRIX, "C", "derived"),
            figure("FP16", 800_000, _CLAIM, "C"), figure("FP16", 600_000, _CLAIM, "C"),
            figure("FP16", 390_625, f"{_MATRIX}, half a card", "C", "derived", of="die"),
            figure("INT8", 1_600_000, _CLAIM, "C"),
        ),
        replace(_names("Ascend910C"), slurm=("npu:N, N even: two are one card",)), ("910C", "Ascend-910C"),
        dies=2,
        watts_milli=(700_000,), claims=("TDP 310 to 700 W", "bandwidth 3,200 or 2,456 GB/s"),
        note="one card is two logical NPUs of 64 GB each",
    ),
    Card(
        "Ascend950PR", "Huawei", "cann", True, "C", 128 * GB, 1600, 0,
        (
            figure("FP8", 1_000_000, NOTES, "C"), figure("MXFP4", 2_000_000,
                NOTES, "C"),
            figure("FP8", 1_500_000, "evokernel-spec 2026-05-04 (low trust)", "D"),
            figure("MXFP4", 2_250_000, "evokernel-spec 2026-05-04 (low trust)", "D"),
        ),
        replace(_NAMES, hami=()), ("950PR",),
    ),
)  # fmt: skip
