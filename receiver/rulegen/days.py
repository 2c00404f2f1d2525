"""What the band novelty remembers of a series, hour by hour, and how far the usual days among it reach.

novelty.py calls it. Days are compared as they are, whatever the clock says: each that is looked at is the day before
some full hour of remembering, so that days overlap and no midnight counts.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from receiver.conventions import (
    BAND_LOWER,
    BAND_MEAN,
    BAND_UPPER,
    CHANGE_REACH,
    DAY_HIGHEST,
    DAY_LOWEST,
    DAY_MEAN,
    DAY_REACH,
    HOUR_AWAY,
    HOUR_CHANGE,
    HOUR_REACH,
    LEARNED,
    SAMPLES,
    VALUE,
)
from receiver.durations import format_duration
from receiver.rulegen.promql import SECOND, given, number, outermost, over, over_block, unless
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector

SHORT: Final = timedelta(minutes=5)  #: a value is judged by its mean of so long: what is shorter is no anomaly
HALF: Final = timedelta(minutes=30)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
#: For so long a fault is not known as something that has been; after it, what came is no longer new.
BLIND: Final = timedelta(hours=6)
#: Between two days whose hours are compared: enough of them for quantiles, few enough to be read every hour.
STRIDE: Final = timedelta(hours=12)
#: A day is judged with something in so many of its half hours: after a gap it would be as odd as what is left of it.
WHOLE: Final = 46
#: Hours that must be known before an hour, a day or a change is judged by them: a day of them.
ENOUGH: Final = 24
#: The latest day that is known may be so old: after a longer gap a series begins with what its usual days say.
GAP: Final = 3 * DAY
#: One day in ten is left out on either side before the spread of the days is measured: of twelve days, the odd one.
ODD: Final = 0.1
#: How many standard deviations of normal noise lie between the two.
NORMAL: Final = 2.56
#: Days that are all alike deviate, too: by a twentieth of what they span, so that 15 % of it are 3 sigma.
SPAN: Final = 20
#: Hours, days and changes span less than the five minutes whose band this is: their margin is this part of its width.
WIDTH: Final = 50


class Days:
    """The past of one detector's series, as PromQL and as rules."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.source = series(VALUE if detector.only_if is None else LEARNED, detector)
        self.short = over_block("avg_over_time", self.source, SHORT)
        self.hour_ago = over("avg_over_time", self.source, SHORT - SECOND, offset=HOUR)
        self.hour = over_block("avg_over_time", self.source, HOUR)

    def group(self) -> Group:
        beyond, back = self._weights()
        return Group(
            name=group_name(self.detector, "days"),
            interval=HOUR,
            why=f"What is remembered of {self.detector.name}, once an hour however often rules are evaluated, and how"
            f" far {format_duration(self.detector.window)} of it reached. One day in ten is odd, on either side:"
            f" between the quantiles {number(ODD)} and {number(1 - ODD)} lie {number(NORMAL)} deviations of normal"
            f" noise, and {number(beyond)} of the farther less {number(back)} of the nearer is the middle and"
            f" {number(self.detector.sigma)} deviations beyond it.",
            rules=(*self._past(), *self._reach()),
        )

    def usual_level(self) -> str:
        """The median of the days' means."""
        return self._quantile(self._days(DAY_MEAN), 0.5)

    def highest(self) -> str:
        """The highest five minutes of a usual day, and a margin."""
        return self._edge("+", DAY_HIGHEST)

    def lowest(self) -> str:
        return self._edge("-", DAY_LOWEST)

    # ── what is remembered ──

    def _past(self) -> Iterator[Record]:
        away = f"abs({self.hour} - {lately(self.detector, BAND_MEAN)})"
        change = f"abs({self.short} - {self.hour})"
        counted = over("count_over_time", self.source, DAY - SECOND, offset=DAY)
        known = over("max_over_time", series(SAMPLES, self.detector), self.detector.window)
        yield self._hourly(DAY_MEAN, over_block("avg_over_time", self.source, DAY), "The mean of the last day.")
        yield self._hourly(
            DAY_HIGHEST, _steps("max_over_time", self.short, DAY, SHORT), "The highest five minutes of it."
        )
        yield self._hourly(
            DAY_LOWEST, _steps("min_over_time", self.short, DAY, SHORT), "The lowest five minutes of it."
        )
        yield self._hourly(
            HOUR_AWAY,
            _steps("max_over_time", away, HOUR, SHORT),
            "The largest distance of an hour's mean from the usual level, of the hours that ended in the last one.",
        )
        yield self._hourly(
            HOUR_CHANGE,
            _steps("max_over_time", change, HOUR, SHORT),
            "The largest distance of five minutes of the last hour from the mean of the hour that ends in them.",
        )
        yield self._hourly(
            SAMPLES,
            outermost("max", {"the day before the last": counted, "any before": known}),
            f"How many samples the fullest day held that is over: nothing is judged before they are"
            f" {self.detector.min_samples}. A gap takes nothing away from what was known before it.",
        )

    def _hourly(self, metric: str, expression: str, why: str) -> Record:
        """Also where rules are evaluated more often, in unit tests for one: the same memory gives the same band."""
        recent = over_block("last_over_time", series(metric, self.detector), HOUR)
        return recorded(self.detector, metric, unless(expression, recent), why)

    # ── how far it reached ──

    def _reach(self) -> Iterator[Record]:
        means, level = self._days(DAY_MEAN), lately(self.detector, BAND_MEAN)
        spread = f"({self._quantile(means, 1 - ODD)} - {self._quantile(means, ODD)})"
        for metric, of, candidates, why in (
            (
                HOUR_REACH,
                HOUR_AWAY,
                self._of_hours(HOUR_AWAY),
                "How far from the usual level the mean of an hour may get.",
            ),
            (
                DAY_REACH,
                DAY_MEAN,
                {
                    "usual": f"{number(round(self.detector.sigma / NORMAL, 3))} * {spread}",
                    "latest": f"abs({self._latest(DAY_MEAN)} - {level})",
                },
                "How far from it the mean of a day may get.",
            ),
            (
                CHANGE_REACH,
                HOUR_CHANGE,
                self._of_hours(HOUR_CHANGE),
                "How far from the mean of their hour five minutes may get.",
            ),
        ):
            width = f"({lately(self.detector, BAND_UPPER)} - {lately(self.detector, BAND_LOWER)}) / {WIDTH}"
            margin = outermost("max", {"width": width, "least": self._least()})
            reach = f"{outermost('max', candidates)}\n+\n{margin}"
            known = f"count_over_time({self._days(of)} offset {format_duration(BLIND)}) >= {ENOUGH}"
            if metric == DAY_REACH:
                known = given(known, self._whole())
            yield self._hourly(metric, f"(\n{given(reach, known)}\n)", why)

    def _whole(self) -> str:
        half = over_block("avg_over_time", self.source, HALF)
        return f"{_steps('count_over_time', half, DAY, HALF)} >= {WHOLE}"

    def _of_hours(self, metric: str) -> dict[str, str]:
        hours = series(metric, self.detector)
        days = f"{over_block('max_over_time', hours, DAY)}[{self._window()}:{format_duration(STRIDE)}]"
        latest = over("max_over_time", hours, DAY - SECOND, offset=BLIND)
        return {"usual": self._usual("+", days), "latest": latest}

    def _edge(self, sign: str, metric: str) -> str:
        function = "max" if sign == "+" else "min"
        seen = outermost(function, {"usual": self._usual(sign, self._days(metric)), "latest": self._latest(metric)})
        span = f"{number(self.detector.sigma / SPAN)} * ({self._latest(DAY_HIGHEST)} - {self._latest(DAY_LOWEST)})"
        far = self._quantile(self._days(metric), 1 - ODD if sign == "+" else ODD)
        return outermost(function, {"apart": f"{seen}\n{sign}\n{span}", "least": f"{far} {sign} {self._least()}"})

    def _latest(self, metric: str) -> str:
        return over("last_over_time", series(metric, self.detector), GAP, offset=BLIND)

    def _least(self) -> str:
        """What `min_deviation` asks for."""
        small = least_factor(self.detector)
        relative, absolute = (number(small * each) for each in (self.detector.relative, self.detector.absolute))
        return f"clamp_min({relative} * abs({lately(self.detector, BAND_MEAN)}), {absolute})"

    def _usual(self, sign: str, days: str) -> str:
        """Sigma deviations beyond the middle between the days' two quantiles, each of which is asked for once."""
        far, near = (1 - ODD, ODD) if sign == "+" else (ODD, 1 - ODD)
        beyond, back = self._weights()
        return f"{number(beyond)} * {self._quantile(days, far)} - {number(back)} * {self._quantile(days, near)}"

    def _weights(self) -> tuple[float, float]:
        """(far + near) / 2 + sigma * (far - near) / NORMAL, with like terms gathered."""
        deviations = self.detector.sigma / NORMAL
        return round(deviations + 0.5, 3), round(deviations - 0.5, 3)

    def _quantile(self, days: str, quantile: float) -> str:
        return f"quantile_over_time({number(quantile)}, {days} offset {format_duration(BLIND)})"

    def _days(self, metric: str) -> str:
        return f"{series(metric, self.detector)}[{self._window()}]"

    def _window(self) -> str:
        return format_duration(self.detector.window)


def _steps(function: str, expression: str, block: timedelta, step: timedelta) -> str:
    """Of one block, of what the expression says at every step of it."""
    return f"{function}({expression}[{format_duration(block - SECOND)}:{format_duration(step)}])"


def least_factor(detector: Detector) -> float:
    """How many times `min_deviation` an edge is away at least, so that the nearest tier leaves it alone, too."""
    return max(1, detector.sigma / min(detector.severity.values()))


def lately(detector: Detector, metric: str) -> str:
    """A series of one of the slow groups, which would vanish from sight after five minutes."""
    return over("last_over_time", series(metric, detector), 3 * HOUR)
