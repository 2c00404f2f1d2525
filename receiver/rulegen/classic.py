"""The textbook detector: z of the newest of 20 samples against all 20, for comparison and nothing else.

generate.py calls it through the registry, for the preset `classic`. It learns the fault that it judges, calls
every wiggle of a flat series an anomaly, and cannot exceed 4.36 deviations: that is what is wrong with it.
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from statistics import fmean, pvariance

from receiver.conventions import BAND_MEAN, BAND_STDDEV, SAMPLES, SCORE, VALUE, ZSCORE
from receiver.rulegen.promql import given, over_block, series
from receiver.rulegen.rules import Group
from receiver.rulegen.spec import Detector
from receiver.rulegen.watched import edge_records, only_if_records, recorded, value_record, zscore_record


class Classic:
    """mean ± sigma standard deviations of the window that ends now."""

    forgives_small = False

    def groups(self, detector: Detector) -> list[Group]:
        value, samples = series(VALUE, detector.name), series(SAMPLES, detector.name)
        distance = f"abs({series(ZSCORE, detector.name)})"
        # A second less than the window: 20 samples at 30 s on every Prometheus, where [10m] holds 21 on Prometheus 2.
        mean, deviation, count = (
            over_block(function, value, detector.window)
            for function in ("avg_over_time", "stddev_over_time", "count_over_time")
        )
        return [
            Group(
                name=f"{detector.name}:band",
                interval=detector.interval,
                why=f"{detector.description}, judged as textbooks do.",
                rules=(
                    value_record(detector),
                    *only_if_records(detector),
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
                    recorded(
                        detector,
                        SCORE,
                        f"clamp_max(0.5 + {distance} / 10, 1)",
                        "The textbook's confidence.",
                    ),
                ),
            )
        ]

    def offset(self, _: Detector, /) -> timedelta:
        return timedelta()

    def score(self, _: Detector, distance: float, /) -> float:
        return min(0.5 + distance / 10, 1)

    def usual(self, detector: Detector, values: Sequence[float], *, every: timedelta) -> tuple[float, float]:
        window = values[-math.ceil(detector.window / every) :]
        return fmean(window), math.sqrt(pvariance(window))
