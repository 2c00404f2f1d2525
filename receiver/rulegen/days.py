"""What the band novelty remembers of a series: hours and days, and how far the usual ones among them reach.

novelty.py calls it. Days are compared as they are, whatever the clock says: each that is looked at is the day before
some moment, so that days overlap and no midnight counts.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Final

from receiver.conventions import (
    BAND_LOWER,
    BAND_MEAN,
    BAND_UPPER,
    CHANGE_REACH,
    DAY_HIGHEST,
    DAY_LOWEST,
    DAY_REACH,
    HOUR_CHANGE,
    HOUR_LOWER,
    HOUR_MEAN,
    HOUR_UPPER,
    LEARNED,
    SAMPLES,
    VALUE,
)
from receiver.durations import format_duration
from receiver.rulegen.promql import SECOND, either, enclosed, number, outermost, over, over_block
from receiver.rulegen.recorded import group_name, recorded, series
from receiver.rulegen.rules import Group, Record
from receiver.rulegen.spec import Detector

SHORT: Final = timedelta(minutes=5)  #: a value is judged by its mean of so long: what is shorter is no anomaly
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
#: For so long a fault is not known as something that has been; after it, what came is no longer new.
BLIND: Final = timedelta(hours=6)
#: Between two days that are compared: enough of them for quantiles, few enough to be read every hour.
STRIDE: Final = timedelta(hours=6)
#: One day in ten is left out on either side before the spread of the days is measured: of twelve days, the odd one.
ODD: Final = 0.1
#: How many standard deviations of normal noise lie between the two.
NORMAL: Final = 2.56
#: Days that are all alike deviate, too: by a twentieth of what they span, so that 15 % of it are 3 sigma.
SPAN: Final = 20
#: What was reached in the last day that is known is not new until it is exceeded by this share of its distance from the
#: usual level.
AGAIN: Final = 0.1
#: Hours, days and changes span less than the five minutes whose band this is: the same in shares of its width.
WIDTH: Final = 100
AGAIN_OF_WIDTH: Final = 0.02

_Quantile = Callable[[float], str]  #: a quantile of the past days


class Days:
    """The past of one detector's series, as PromQL and as rules."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.source = series(VALUE if detector.only_if is None else LEARNED, detector)
        self.short = over_block("avg_over_time", self.source, SHORT)
        self.hour_ago = over("avg_over_time", self.source, SHORT - SECOND, offset=HOUR)
        self.hour = over_block("avg_over_time", self.source, HOUR)
        self.day = over_block("avg_over_time", series(HOUR_MEAN, detector), DAY)

    def group(self) -> Group:
        name, days = self.detector.name, format_duration(self.detector.window)
        return Group(
            name=group_name(self.detector, "days"),
            interval=HOUR,
            why=f"What is remembered of {name}, hour by hour, and how far {days} of it reached.",
            rules=(*self._past(), self._samples(), *self._reach()),
        )

    def usual_level(self) -> str:
        """The median of the days' means."""
        return self._of_hours("avg_over_time", HOUR_MEAN, 0.5)

    def highest(self) -> str:
        """The highest five minutes of a usual day, and a margin."""
        return self._edge("+", DAY_HIGHEST)

    def lowest(self) -> str:
        return self._edge("-", DAY_LOWEST)

    def _past(self) -> Iterator[Record]:
        def each_five_minutes(function: str, expression: str, of: timedelta) -> str:
            return f"{function}({expression}[{format_duration(of - SECOND)}:{format_duration(SHORT)}])"

        highest = each_five_minutes("max_over_time", self.short, DAY)
        lowest = each_five_minutes("min_over_time", self.short, DAY)
        change = each_five_minutes("max_over_time", f"abs({self.short} - {self.hour})", HOUR)
        for metric, expression, why in (
            (HOUR_MEAN, self.hour, "The mean of the last hour."),
            (HOUR_CHANGE, change, "The largest distance of five minutes of it from the hour that ends in them."),
            (DAY_HIGHEST, highest, "The highest five minutes of the last day."),
            (DAY_LOWEST, lowest, "The lowest five minutes of the last day."),
        ):
            yield recorded(self.detector, metric, expression, why)

    def _samples(self) -> Record:
        known = over("max_over_time", series(SAMPLES, self.detector), self.detector.window)
        counted = over("count_over_time", self.source, DAY - SECOND, offset=DAY)
        return recorded(
            self.detector,
            SAMPLES,
            either(f"{counted} > {known}", known, counted),
            f"How many samples the fullest day held that is over: nothing is judged before they are"
            f" {self.detector.min_samples}. A gap takes nothing away from what was known before it.",
        )

    def _reach(self) -> Iterator[Record]:
        hours, width = series(HOUR_MEAN, self.detector), self._width()
        alike, again = f"{width} / {WIDTH}", f"{number(AGAIN_OF_WIDTH)} * {width}"
        for metric, sign, function, side in ((HOUR_UPPER, "+", "max", "high"), (HOUR_LOWER, "-", "min", "low")):
            usual = partial(self._of_hours, f"{function}_over_time", HOUR_MEAN)
            latest = over(f"{function}_over_time", hours, DAY - SECOND, offset=BLIND)
            edge = outermost(function, self._beyond(sign, usual, alike, latest, again))
            yield recorded(self.detector, metric, edge, f"How {side} the mean of an hour may get.")
        latest = over("avg_over_time", hours, DAY - SECOND, offset=BLIND)
        reach = self._margins(partial(self._of_hours, "avg_over_time", HOUR_MEAN), alike)
        reach["latest"] = f"abs({latest} - {self._lately(BAND_MEAN)})\n+\n{again}"
        why = "How far from the usual level the mean of a day may get."
        yield recorded(self.detector, DAY_REACH, outermost("max", reach), why)
        change = series(HOUR_CHANGE, self.detector)
        latest = over("max_over_time", change, DAY - SECOND, offset=BLIND)
        usual = partial(self._of_hours, "max_over_time", HOUR_CHANGE)
        edge = outermost("max", self._beyond("+", usual, alike, latest, again))
        yield recorded(self.detector, CHANGE_REACH, edge, "How far from the mean of their hour five minutes may get.")

    def _edge(self, sign: str, metric: str) -> str:
        span = f"(\n  {self._of_days(DAY_HIGHEST, 0.5)}\n  -\n  {self._of_days(DAY_LOWEST, 0.5)}\n)"
        latest = over("last_over_time", series(metric, self.detector), 3 * HOUR, offset=BLIND)
        again = f"{number(AGAIN)} * abs({latest} - {self._lately(BAND_MEAN)})"
        edge = self._beyond(sign, partial(self._of_days, metric), f"{span} / {SPAN}", latest, again)
        return outermost("max" if sign == "+" else "min", edge)

    def _beyond(self, sign: str, usual: _Quantile, alike: str, latest: str, again: str) -> dict[str, str]:
        """An edge is the outermost of these; `usual` gives a quantile of the past days."""
        margin = outermost("max", self._margins(usual, alike))
        return {"usual": f"{usual(0.5)}\n{sign}\n{margin}", "latest": f"{latest}\n{sign}\n{again}"}

    def _margins(self, usual: _Quantile, alike: str) -> dict[str, str]:
        """Multiples of the days' deviation, and what `min_deviation` asks for."""
        deviation = f"(\n  {usual(1 - ODD)}\n  -\n  {usual(ODD)}\n) / {number(NORMAL)}\n+\n{alike}"
        small = max(1, self.detector.sigma / min(self.detector.severity.values()))  # the nearest tier is silent, too
        relative, absolute = (number(small * each) for each in (self.detector.relative, self.detector.absolute))
        return {
            "deviation": f"{number(self.detector.sigma)} * {enclosed(deviation)}",
            "least": f"clamp_min({relative} * abs({self._lately(BAND_MEAN)}), {absolute})",
        }

    def _width(self) -> str:
        return f"({self._lately(BAND_UPPER)} - {self._lately(BAND_LOWER)})"

    def _of_days(self, metric: str, quantile: float) -> str:
        """Of what is known of each day."""
        # last_over_time, for a subquery asks at the full hour and looks back no further than five minutes
        return self._quantile(over("last_over_time", series(metric, self.detector), HOUR), quantile)

    def _of_hours(self, function: str, metric: str, quantile: float) -> str:
        """Of each day's hours in one number."""
        return self._quantile(over_block(function, series(metric, self.detector), DAY), quantile)

    def _quantile(self, day: str, quantile: float) -> str:
        days = f"{day}[{format_duration(self.detector.window)}:{format_duration(STRIDE)}]"
        return f"quantile_over_time({number(quantile)}, {days} offset {format_duration(BLIND)})"

    def _lately(self, metric: str) -> str:
        return lately(self.detector, metric)


def lately(detector: Detector, metric: str) -> str:
    """A series of one of the slow groups, which would vanish from sight after five minutes."""
    return over("last_over_time", series(metric, detector), 3 * HOUR)
