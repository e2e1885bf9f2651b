"""What noise reduction costs, in microseconds of CPU for 20 ms of sound, and what it takes away."""

from __future__ import annotations

from time import process_time_ns
from typing import Any

import numpy as np

from bench import rig
from vivavoz.media import denoise

FRAME_BYTES = 960
GOAL_US = 1_000.0
NOISE = 1_000.0
"""Root mean square (-30 dBFS)."""


def run(*, quick: bool = False) -> dict[str, Any]:
    if not denoise.available():
        raise rig.Skipped("webrtc-noise-gain is not installed")
    frames = 500 if quick else 5_000
    hiss = np.random.default_rng(1).normal(scale=NOISE, size=frames * FRAME_BYTES // 2)
    sound = np.clip(hiss, -32768, 32767).astype("<i2").tobytes()
    figures = {field: _measured(field, sound) for field in ("near_field", "far_field")}
    columns = ["", "us p50", "us p99", "goal", "hiss falls by (dB)"]
    rows = [
        [name, each["us"]["p50"], each["us"]["p99"], GOAL_US, each["db"]] for name, each in figures.items()
    ]
    rig.table(f"noise reduction, {frames} frames of 20 ms", columns, rows)
    rig.write("noise", figures)
    return figures


def _measured(field: denoise.Field, sound: bytes) -> dict[str, Any]:
    denoiser = denoise.open_denoiser(field)
    took, out = [], bytearray()
    for start in range(0, len(sound), FRAME_BYTES):
        began = process_time_ns()
        out += denoiser.process(sound[start : start + FRAME_BYTES])
        took.append((process_time_ns() - began) / 1_000)
    settled = np.frombuffer(out, dtype="<i2")[len(out) // 4 :].astype(float)
    return {"us": rig.summary(took), "db": round(float(20 * np.log10(NOISE / settled.std())), 1)}
