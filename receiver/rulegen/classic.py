"""The textbook detector: z of the newest of 20 samples against all 20, for comparison and nothing else.

generate.py calls it through the registry, for the preset `classic`. It learns the fault that it judges, calls
every wiggle of a flat series an anomaly, and cannot exceed 4.36 deviations: that is what is wrong with it.
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from statistics import fmean, pvariance

from receiver.conventions import BAND_MEAN, BAND_STDDEV, SAMPLES, SCORE, VALUE, ZSCORE
from receiver.rulegen.band import Band, Numbers
from receiver.rulegen.promql import given, over_block
from receiver.rulegen.recorded import recorded, series
from receiver.rulegen.rules import Record
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import edge_records, zscore_record


class Classic(Band):
    """mean ± sigma standard deviations of the window that ends now."""

    def rules(self, detector: Detector) -> list[Record]:
        value, samples = series(VALUE, detector), series(SAMPLES, detector)
        distance = f"abs({series(ZSCORE, detector)})"
        # A second less than the window: 20 samples at 30 s on every Prometheus, where [10m] holds 21 on Prometheus 2.
        mean, deviation, count = (
            over_block(function, value, detector.window)
            for function in ("avg_over_time", "stddev_over_time", "count_over_time")
        )
        return [
            recorded(detector, SAMPLES, count, "How many samples the window holds."),
            recorded(
                detector,
                BAND_MEAN,
                given(mean, f"{samples} >= {detector.min_samples}"),
                "Their mean, with the value that is judged among them.",
            ),
            recorded(
                detector,
                BAND_STDDEV,
                f"{deviation} > 0",
                "Their deviation; a series without any is not judged, for 0/0 is no number.",
            ),
            *edge_records(detector),
            zscore_record(detector),
            recorded(detector, SCORE, f"clamp_max(0.5 + {distance} / 10, 1)", "The textbook's confidence."),
        ]

    def looks_back(self, detector: Detector) -> timedelta:
        return detector.window

    def distance(self, _: Detector, /, z_score: str) -> str:
        return f"that is {z_score} standard deviations away"

    def forgives_small(self, _: Detector, /) -> bool:
        return False

    def warmup(self, detector: Detector, every: timedelta) -> timedelta:
        return detector.min_samples * every

    def numbers(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> Numbers:
        window = values[-math.ceil(detector.window / every) :]
        mean, deviation = fmean(window), math.sqrt(pvariance(window))
        return Numbers(mean, deviation, (values[-1] - mean) / deviation)

    def score(self, _: Detector, /, distance: float) -> float:
        return min(0.5 + distance / 10, 1)
