"""Cards of Cambricon, Hygon, Moore Threads, Kunlunxin and MetaX."""

from dataclasses import replace

from hutong.core.capacity.catalogue.model import GB, NOTES, Card, Names, both, figure

_CAMBRICON = Names(
    ("cambricon.com/mlu",), ("cambricon.com/vmlu", "cambricon.com/mlu.smlu.vmemory",
        "cambricon.com/mlu.smlu.vcore"),
    ("mlu:N",), "cnmon", "cambricon.com/mlu is unverified (D), and so is the GRES name mlu",
)  # fmt: skip
_HYGON = Names(
    ("hygon.com/dcu",), ("hygon.com/dcunum", "hygon.com/dcumem", "hygon.com/dcucores"), ("dcu:N",), "hy-smi",
    "hygon.com/dcu is unverified (D)",
)  # fmt: skip
_MOORE = Names(
    ("mthreads.com/gpu",), ("mthreads.com/vgpu", "mthreads.com/sgpu-memory", "mthreads.com/sgpu-core"), (),
    "mthreads-gmi", "mthreads.com/gpu is unverified (D)",
)  # fmt: skip
_KUNLUN = Names(
    ("kunlunxin.com/xpu",), ("kunlunxin.com/xpu", "kunlunxin.com/vxpu", "kunlunxin.com/vxpu-memory"), (),
    "xpu-smi"
)  # fmt: skip
_METAX = Names(
    ("metax-tech.com/gpu",), ("metax-tech.com/sgpu", "metax-tech.com/vcore", "metax-tech.com/vmemory"), (),
    "mx-smi"
)  # fmt: skip

_SHEET = "Cambricon MLU370-X8 data sheet"
_EVOKERNEL = "evokernel-spec 2026-05-04 (low trust)"
_AILEMON = "ailemon blog on the MLU590"
_BENCH = "wangzy0327/hblas-bench, DCU-bench.md"
_ITBEAR = "itbear and io-tech on the S4000"
_HOTCHIPS = "Kunlun, HotChips 2020"

CARDS = (
    Card(
        "MLU290", "Cambricon", "neuware", True, "B", 32 * GB, 1228, 350,
        (figure("INT16", 256_000, NOTES, "B"), figure("INT8", 512_000, NOTES, "B")),
        _CAMBRICON, ("MLU290-M5",), note="no FP16 is published: INT16 256",
    ),
    Card(
        "MLU370-X4", "Cambricon", "neuware", True, "B", 24 * GB, 307, 150,
        (*both(96_000, NOTES, "B"), figure("FP32", 24_000, NOTES, "B"), figure("INT8", 256_000, NOTES,
            "B")),
        _CAMBRICON,
    ),
    Card(
        "MLU370", "Cambricon", "neuware", True, "B", 48 * GB, 614, 250,
        (*both(96_000, _SHEET, "B"), figure("FP32", 24_000, NOTES, "B"), figure("INT8", 256_000, NOTES,
            "B")),
        _CAMBRICON, ("MLU370-X8",),
    ),
    Card(
        "MLU590", "Cambricon", "neuware", True, "C", 80 * GB, 0, 250,
        (
            figure("FP16", 314_000, _AILEMON, "C"), figure("FP16", 256_000, _EVOKERNEL, "D"),
            figure("INT8", 512_000, _EVOKERNEL, "D"),
        ),
        _CAMBRICON, watts_milli=(350_000, 450_000),
        claims=("memory 80 (ailemon), 64 (evokernel) or 192 GB (awesomeagents)",
            "TDP 250, 350 or 450 W, in that order"),
    ),
    Card(
        "K100", "Hygon", "dtk", True, "B", 64 * GB, 0, 0,
        (*both(100_000, _BENCH, "B"), figure("FP32", 24_500, _BENCH, "B"), figure("INT8", 200_000, _BENCH,
            "B"),
         figure("FP16", 192_000, _EVOKERNEL, "D")),
        replace(_HYGON, slurm=("dcu:N", "dcu:K100-PCIE-64GB-LS:N")), ("K100-PCIE-64GB-LS",),
        claims=("evokernel: 96 GB and 600 W",),
    ),
    Card(
        "K100_AI", "Hygon", "dtk", True, "B", 64 * GB, 896, 350,
        (
            *both(196_000, NOTES, "B"), figure("FP16", 192_000, NOTES, "C"),
            figure("FP32", 49_000, NOTES, "B"), figure("TF32", 98_000, NOTES, "B"),
            figure("INT8", 392_000, NOTES, "B"),
        ),
        _HYGON, ("K100-AI",),
    ),
    Card(
        "BW200", "Hygon", "dtk", True, "C", 64 * GB, 1600, 0,
        (
            *both(480_000, NOTES, "C"), figure("FP32", 60_000, NOTES, "C"),
            figure("TF32", 240_000, NOTES, "C"), figure("FP64", 30_000, NOTES, "C"),
            figure("INT8", 960_000, NOTES, "C"),
        ),
        _HYGON, ("BW1000",), note="called BW1000 elsewhere",
    ),
    Card(
        "S4000", "Moore Threads", "musa", True, "B", 48 * GB, 768, 450,
        (
            *both(98_000, _ITBEAR, "B"), figure("FP16", 100_000, _ITBEAR, "B"), figure("FP32", 25_000,
                _ITBEAR, "B"),
            figure("INT8", 196_000, _ITBEAR, "B"), figure("INT8", 200_000, _ITBEAR, "B"),
        ),
        _MOORE, ("MTT-S4000", "MTT S4000"),
    ),
    Card(
        "S5000", "Moore Threads", "musa", True, "C", 80 * GB, 1600, 0,
        (
            figure("FP8", 1_000_000, NOTES, "C"), figure("FP8", 920_000, NOTES, "C"),
            figure("FP8", 1_024_000, NOTES, "C"),
        ),
        _MOORE, ("MTT-S5000", "MTT S5000"), claims=("evokernel: 100 TF and 64 GB",),
    ),
    Card(
        "K200", "Kunlunxin", "xre", True, "B", 16 * GB, 512, 150,
        (figure("FP16", 64_000, _HOTCHIPS, "B"), figure("FP32", 16_000, _HOTCHIPS, "B"),
         figure("INT8", 256_000, _HOTCHIPS, "B")),
        _KUNLUN, ("Kunlun-K200",),
    ),
    Card(
        "R300", "Kunlunxin", "xre", True, "C", 32 * GB, 0, 0,
        (figure("FP16", 128_000, "FlagPerf 1b5a0303: 8 cards have 1 PF and 256 GB", "C", "derived",
                note="1 PF of 8 cards is 125: the source rounds"),),
        _KUNLUN,
    ),
    Card(
        "P800", "Kunlunxin", "xre", True, "D", 96 * GB, 0, 0,
        (figure("FP16", 345_000, "widely quoted, unpublished by the vendor", "D"),),
        _KUNLUN, note="memory 96 to 98 GB",
    ),
    Card(
        "N100", "MetaX", "maca", True, "B", 0, 0, 0,
        (figure("FP16", 80_000, NOTES, "B"), figure("INT8", 160_000, NOTES,
            "B")), _METAX,
    ),
    Card(
        "C500", "MetaX", "maca", True, "C", 64 * GB, 1800, 350,
        (
            figure("FP16", 280_000, "MetaX on Gitee", "C"), figure("FP16", 240_000,
                "as sold", "C"),
            figure("FP16", 128_000, _EVOKERNEL, "D"), figure("FP32", 18_000, NOTES, "C"),
            figure("FP32", 15_000, NOTES, "C"), figure("FP32-MATRIX", 36_000,
                "MetaX on Gitee", "C"),
            figure("TF32", 140_000, NOTES, "C"), figure("INT8", 560_000, NOTES, "C"),
        ),
        _METAX, watts_milli=(450_000,), note="350 W as PCIe, 450 W as OAM",
    ),
    Card(
        "C550", "MetaX", "maca", True, "C", 64 * GB, 0, 450, (), _METAX,
        note="FlagPerf has shares of an undisclosed nominal: FP16 82.8 to 83.5 %, FP32 87.4 %, INT8 79.3 %",
    ),
    Card("C600", "MetaX", "maca", True, "C", 144 * GB, 0, 0, (figure("FP8", 1_000_000, NOTES, "C"),),
        _METAX),
)  # fmt: skip
