"""Cards of Biren, Iluvatar, Enflame and T-Head."""

from hutong.core.capacity.catalogue.model import GB, NOTES, Card, Names, both, figure, flagperf

_BIREN = Names(("birentech.com/gpu",), ("birentech.com/gpu",))
_ENFLAME = Names(
    ("enflame.com/gcu",), ("enflame.com/drs-gcu", "enflame.com/gcu-memory", "enflame.com/gcu-core"), (), ""
)  # fmt: skip
_TOMS = "Tom's Hardware on the BR100"
_EVOKERNEL = "evokernel-spec 2026-05-04 (low trust)"
_README = "README of Iluvatar in FlagPerf 1b5a0303"
_BENCH = "benchmarks/computation"
_BI150 = "FlagPerf 1b5a0303, computation-FP16/iluvatar/BI150"
_QINGHAI = "Sanjiangyuan broadcast table of September 2025 (mirror hxjkbz.com/n/959285, garbled)"


def _iluvatar(model: str) -> Names:
    hami = tuple(f"iluvatar.ai/{model}{end}" for end in ("-vgpu", ".vMem", ".vCore"))
    return Names(("iluvatar.ai/gpu",), hami, (), "ixsmi", "iluvatar.ai/gpu is unverified (D)")


CARDS = (
    Card(
        "BR100", "Biren", "birensupa", True, "B", 64 * GB, 1640, 550,
        (*both(1_024_000, _TOMS, "B"), figure("FP32", 256_000, _TOMS, "B"), figure("INT8", 2_048_000, _TOMS,
            "B")),
        _BIREN, claims=("bandwidth 1,640 to 2,300 GB/s",),
    ),
    Card(
        "BR104", "Biren", "birensupa", True, "B", 32 * GB, 819, 300,
        (
            *both(512_000, NOTES, "B"), figure("FP32", 128_000, NOTES, "B"), figure("INT8", 1_024_000, NOTES,
                "B"),
            figure("FP16", 128_000, _EVOKERNEL, "D"), figure("INT8", 512_000, _EVOKERNEL, "D"),
        ),
        _BIREN,
        note="a Biren card of the Sanjiangyuan table has about 339 TF, and it does not say which card",
    ),
    Card(
        "BI-V100", "Iluvatar", "corex", True, "B", 32 * GB, 1200, 250,
        (*both(147_000, _README, "B"), figure("FP32", 37_000, _README, "B"), figure("INT8", 295_000, _README,
            "B")),
        _iluvatar("BI-V100"), ("BI100",),
    ),
    Card(
        "BI-V150", "Iluvatar", "corex", True, "B", 64 * GB, 0, 350,
        (
            figure("FP16", 192_000, f"{_BI150}, SPECTFLOPS", "B"),
            flagperf("FP16", 196_470, f"{_BENCH}-FP16/iluvatar/BI150", "framework",
                "more than nominal; its head says BF16"),
            flagperf("BF16", 196_770, f"{_BENCH}-BF16/iluvatar/BI150", "framework"),
            flagperf("FP32", 38_720, f"{_BENCH}-FP32/iluvatar/BI150", "framework"),
        ),
        _iluvatar("BI-V150"), ("BI150",), note="memory is unverified (D)",
    ),
    Card(
        "S60", "Enflame", "topsrider", True, "B", 48 * GB, 672, 300, (), _ENFLAME,
        note="no figure is published; the card wiki withdrew its own estimate in September 2026",
    ),
    Card(
        "T20", "Enflame", "topsrider", True, "D", 64 * GB, 0, 300,
        (figure("FP16", 128_000, NOTES, "D"), figure("FP32", 40_000, NOTES, "D"), figure("TF32", 160_000,
            NOTES, "D")),
        _ENFLAME, ("CloudBlazer-T20",),
    ),
    Card(
        "T21", "Enflame", "topsrider", True, "D", 64 * GB, 0, 300,
        (
            figure("FP16", 128_000, NOTES, "D"), figure("FP16", 192_000, _EVOKERNEL, "D"),
            figure("FP32", 40_000, NOTES, "D"), figure("TF32", 160_000, NOTES, "D"),
        ),
        _ENFLAME, ("CloudBlazer-T21",),
    ),
    Card(
        "PPU", "T-Head", "ppu", True, "C", 96 * GB, 0, 400,
        (figure("FP16", 118_700, _QINGHAI, "C", "derived", note="1,945 P of 16,384 cards, as reported"),),
        Names(note="names not found"), ("T-Head-PPU",), note="link 700 GB/s",
    ),
)  # fmt: skip
