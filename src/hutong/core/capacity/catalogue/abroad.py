"""Cards of NVIDIA, AMD and Intel."""

from hutong.core.capacity.catalogue.model import GB, NOTES, Card, Names, both, figure, flagperf

_NVIDIA = Names(
    kubernetes=("nvidia.com/gpu",),
    hami=("nvidia.com/gpu", "nvidia.com/gpumem", "nvidia.com/gpumem-percentage", "nvidia.com/gpucores"),
    slurm=("gpu:<type>:N",),
    tool="nvidia-smi",
)
_AMD = Names(kubernetes=("amd.com/gpu",), slurm=("gpu:<type>:N",), tool="rocm-smi")
_INTEL = Names(note="names not found")

_BENCH = "benchmarks/computation"
_A100 = "FlagPerf 1b5a0303, same-chip table of the A100 40 GB"
_H100 = "hmc-tech.com comparison of NVIDIA cards; llmbook.apartsin.com G.1"
_LIMULIDAE = "limulidae benchmark of accelerators"
_H20 = "zangshuxian.com on the H20"
_MI250 = "AMD's table of the MI200 series, as zexron.com and yobitel.com print it; read 2026-11-29"
_TABLE = "community table of accelerators"

CARDS = (
    Card(
        "A100", "NVIDIA", "cuda", False, "A", 80 * GB, 2039, 400,
        (
            *both(312_000, _A100, "A"),
            flagperf("FP16", 298_340, "toolkits/computation-FP16", "tool", "of the 40 GB card", "A"),
            flagperf("FP16", 251_500, f"{_BENCH}-FP16/nvidia/A100", "framework", "of the 40 GB card", "A"),
            flagperf("BF16", 259_200, f"{_BENCH}-BF16/nvidia/A100", "framework", "of the 40 GB card", "A"),
            figure("FP16", 624_000, NOTES, "A", sparse=True),
            flagperf("FP32", 19_500, f"{_BENCH}-FP32/nvidia/A100", "nominal", "", "A"),
            flagperf("FP32", 19_050, f"{_BENCH}-FP32/nvidia/A100", "framework", "mean with A800", "A"),
            flagperf("TF32", 156_000, f"{_BENCH}-TF32/nvidia/A100", "nominal", "", "A"),
            figure("FP64-TENSOR", 19_500, _A100, "A"),
            flagperf("INT8", 624_000, "toolkits/computation-INT8/nvidia", "nominal", "", "A"),
            flagperf(
                "INT8", 76_040, "toolkits/computation-INT8/nvidia", "tool",
                "12.2 % of nominal: its cuBLAS call cannot reach it, as the file itself says", "D",
            ),
        ),
        _NVIDIA, ("A100-80GB", "NVIDIA-A100-SXM4-80GB", "A100-SXM"),
    ),
    Card(
        "A800", "NVIDIA", "cuda", False, "B", 80 * GB, 2039, 400,
        (
            *both(312_000, "as the A100, of which it is a form with slower NVLink", "B"),
            figure("BF16", 286_000, _LIMULIDAE, "B", "framework"),
            figure("FP32", 19_500, "as the A100", "B"),
            figure("FP32", 19_000, _LIMULIDAE, "B", "framework"),
            flagperf("TF32", 156_000, f"{_BENCH}-TF32/nvidia/A100", "nominal"),
            flagperf("TF32", 123_680, f"{_BENCH}-TF32/nvidia/A100", "framework"),
            figure("INT8", 624_000, "as the A100", "B"),
        ),
        _NVIDIA, ("NVIDIA-A800-SXM4-80GB",), note="bandwidth and TDP are those of the A100, unverified",
    ),
    Card(
        "H100", "NVIDIA", "cuda", False, "A", 80 * GB, 3350, 700,
        (
            *both(989_000, _H100, "A"),
            figure("FP16", 1_979_000, _H100, "A", sparse=True),
            figure("FP32", 67_000, _H100, "A"),
            figure("INT8", 1_979_000, _H100, "A"),
            figure("FP8", 1_979_000, _H100, "A"),
        ),
        _NVIDIA, ("H100-SXM", "NVIDIA-H100-80GB-HBM3", "H100-80GB"),
    ),
    Card(
        "H100-PCIe", "NVIDIA", "cuda", False, "A", 80 * GB, 2000, 350,
        (
            *both(756_000, NOTES, "A"), figure("FP32", 51_000, NOTES, "A"),
            figure("INT8", 1_513_000, NOTES, "D"), figure("FP8", 1_513_000, NOTES, "D"),
        ),
        _NVIDIA, ("NVIDIA-H100-PCIe",), note="INT8 and bandwidth are unverified",
    ),
    Card(
        "H800", "NVIDIA", "cuda", False, "C", 80 * GB, 3350, 700,
        (
            *both(989_000, NOTES, "B"), figure("FP16", 990_000, NOTES, "C"),
            figure("FP16", 1_979_000, NOTES, "C", sparse=True), figure("FP32", 67_000, NOTES, "D"),
            figure("INT8", 1_980_000, NOTES, "C"),
        ),
        _NVIDIA, ("NVIDIA-H800",), claims=("one repository makes it half an H100: dense beside sparse",),
    ),
    Card(
        "H20", "NVIDIA", "cuda", False, "B", 96 * GB, 4000, 400,
        (
            *both(148_000, _H20, "B"), figure("FP32", 44_000, _H20, "B"), figure("TF32", 74_000, _H20, "B"),
            figure("FP64", 1_000, _H20, "B"), figure("INT8", 296_000, _H20, "B"), figure("FP8", 296_000,
                _H20, "B"),
        ),
        _NVIDIA, ("NVIDIA-H20",), watts_milli=(550_000,), note="550 W stands in a broadcast table (C)",
    ),
    Card(
        "H200", "NVIDIA", "cuda", False, "A", 141 * GB, 4800, 700,
        (
            *both(989_000, NOTES, "A"), figure("FP32", 67_000, NOTES, "A"),
            figure("INT8", 1_979_000, NOTES, "A"), figure("FP8", 1_979_000, NOTES, "A"),
        ),
        _NVIDIA, ("NVIDIA-H200",),
    ),
    Card(
        "B200", "NVIDIA", "cuda", False, "A", 180 * GB, 8000, 1000,
        (
            *both(2_250_000, NOTES, "A"), figure("INT8", 4_500_000, NOTES, "A"),
            figure("FP8", 4_500_000, NOTES, "A"), figure("FP4", 9_000_000, NOTES, "A"),
        ),
        _NVIDIA, ("NVIDIA-B200",), note="memory 180 to 192 GB",
    ),
    Card(
        "L40S", "NVIDIA", "cuda", False, "A", 48 * GB, 864, 350,
        (
            *both(362_000, NOTES, "A"), figure("FP16", 366_000, NOTES, "C"),
            figure("FP16", 733_000, NOTES, "A", sparse=True), figure("FP32", 91_600, NOTES, "A"),
            figure("INT8", 733_000, NOTES, "A"), figure("FP8", 733_000, NOTES, "A"),
            figure("FP8", 1_466_000, "evokernel-spec 2026-05-04 (low trust), printed as dense", "D",
                sparse=True),
        ),
        _NVIDIA, ("NVIDIA-L40S",), watts_milli=(300_000,), note="hmc-tech.com prints 300 W",
    ),
    Card(
        "L20", "NVIDIA", "cuda", False, "D", 48 * GB, 864, 275,
        (*both(119_500, NOTES, "D"), figure("INT8", 239_000, NOTES, "D")),
        _NVIDIA, ("NVIDIA-L20",),
    ),
    Card(
        "MI300X", "AMD", "rocm", False, "A", 192 * GB, 5300, 750,
        (
            *both(1_307_000, "AMD MI300X data sheet, dense", "A"),
            figure("BF16", 2_614_000, f"{_TABLE}, printed as dense", "D", sparse=True),
            figure("FP32", 163_000, NOTES, "D"), figure("INT8", 2_614_000, NOTES, "A"),
            figure("FP8", 2_614_000, NOTES, "A"),
        ),
        _AMD, ("AMD-MI300X",),
    ),
    Card(
        "MI250X", "AMD", "rocm", False, "B", 128 * GB, 3200, 560,
        (
            *both(383_000, _MI250, "B"), figure("INT8", 383_000, _MI250, "B"),
            figure("FP64", 47_900, _MI250, "B"), figure("FP64-TENSOR", 95_700, _MI250, "B"),
        ),
        _AMD, ("AMD-MI250X",), dies=2, note="drivers count its two dies as two devices",
    ),
    Card(
        "Gaudi3", "Intel", "habana", False, "B", 128 * GB, 3700, 900,
        (*both(1_835_000, NOTES, "B"), figure("FP8", 1_835_000,
            NOTES, "B")),
        _INTEL, ("Gaudi 3", "Gaudi-3"), note="bandwidth is unverified",
    ),
)  # fmt: skip
