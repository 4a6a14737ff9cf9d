"""What the makers say of their chips: dense rates and memory bandwidth, for floors that are computed and not measured.

Dense means without structured sparsity, which doubles the figure that is usually printed. Where a data sheet names
the sparse rate alone, half of it stands here. Half precision is at its fastest, with sums in half precision; fp32 is
TF32 on tensor cores where the chip has it, since TensorRT takes it unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aand_edge.artifacts import Precision


@dataclass(frozen=True)
class Chip:
    """A device at one power mode.

    mode       the clock or power that the figures hold at
    rates      dense 10¹² operations a second, two to a multiply-accumulate
    bandwidth  of its memory, 10⁹ bytes a second
    source     where the figures stand, and how those were found that stand nowhere
    """

    name: str
    mode: str
    rates: Mapping[Precision, float]
    bandwidth: float
    source: str


# NVIDIA prints no TF32 rate for Orin: its tensor cores are Ampere's, whose TF32 rate is half the half-precision one
# (A100 architecture white paper, 2020: 156 against 312).
TF32 = "TF32 as half of FP16, Ampere's ratio"

CHIPS: tuple[Chip, ...] = (
    Chip(
        "Jetson Orin Nano 8GB, 15 W",
        "15 W, GPU at 625 MHz",
        {"fp32": 5.1, "fp16": 10.2, "int8": 20.5},
        68.0,
        f"Jetson Orin Nano Series data sheet, 2023: 40 sparse, 20 dense INT8 TOPS, 32 tensor cores; {TF32}",
    ),
    Chip(
        "Jetson Orin Nano 8GB",
        "MAXN SUPER (JetPack 6.2), GPU at 1020 MHz",
        {"fp32": 8.4, "fp16": 16.7, "int8": 33.4},
        102.4,
        "NVIDIA technical blog on the Orin Nano Super developer kit, 17 December 2024: 67 sparse, 33 dense INT8 TOPS, "
        f"17 FP16 TFLOPS, 102 GB/s; {TF32}",
    ),
    Chip(
        "Jetson Orin NX 16GB, 25 W",
        "25 W, GPU at 918 MHz; without the DLAs",
        {"fp32": 7.5, "fp16": 15.0, "int8": 30.1},
        102.4,
        "Jetson Orin NX Series data sheet v1.1, December 2023: 32 tensor cores at 918 MHz; each 1024 dense INT8 "
        f"operations a clock, as in Orin Nano; {TF32}",
    ),
    Chip(
        "Jetson Orin NX 16GB",
        "MAXN SUPER (JetPack 6.2), GPU at 1173 MHz; without the DLAs",
        {"fp32": 9.6, "fp16": 19.2, "int8": 38.4},
        102.4,
        "NVIDIA technical blog on JetPack 6.2, January 2025: GPU at 1173 MHz; rates of the same 32 tensor cores; "
        f"{TF32}",
    ),
    Chip(
        "Jetson AGX Orin 64GB",
        "MAXN, GPU at 1300 MHz; without the DLAs",
        {"fp32": 21.3, "fp16": 42.6, "int8": 85.2},
        204.8,
        f"Jetson AGX Orin Series technical brief v1.2, July 2022: 170 sparse INT8 TOPS of the GPU, 204.8 GB/s; {TF32}",
    ),
    Chip(
        "T4",
        "70 W, boost clock 1590 MHz",
        {"fp32": 8.1, "fp16": 65.0, "int8": 130.0},
        320.0,
        "NVIDIA T4 data sheet, March 2019; no TF32; bandwidth of 256-bit GDDR6 at 10 Gb/s",
    ),
    Chip(
        "L4",
        "72 W, boost clock",
        {"fp32": 60.0, "fp16": 121.0, "int8": 242.5},
        300.0,
        "NVIDIA L4 data sheet, March 2023: 120, 242 and 485 with sparsity",
    ),
    Chip(
        "RTX 4060",
        "115 W, boost clock 2460 MHz",
        {"fp32": 15.1, "fp16": 60.5, "int8": 121.0},
        272.0,
        "GeForce RTX 4060 specifications, May 2023: 242 sparse INT8 TOPS, 15 FP32 TFLOPS, 272 GB/s; FP16 and TF32 in "
        "the ratios of the Ada architecture white paper",
    ),
    Chip(
        "RTX 4090",
        "450 W, boost clock 2520 MHz",
        {"fp32": 82.6, "fp16": 330.3, "int8": 660.6},
        1008.0,
        "NVIDIA Ada GPU architecture white paper v2.0, 2022, appendix A: with FP16 accumulate",
    ),
    Chip(
        "H100 SXM5 80GB",
        "700 W, boost clock",
        {"fp32": 494.7, "fp16": 989.4, "int8": 1978.9},
        3350.0,
        "NVIDIA H100 data sheet, 2023: 989, 1979 and 3958 with sparsity",
    ),
)
