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
    DAY_CHANGE,
    DAY_HIGHEST,
    DAY_LOWEST,
    DAY_REACH,
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
STRIDE: Final = timedelta(hours=3)
#: One day in ten is left out on either side before the spread of the days is measured: of twelve days, the odd one.
ODD: Final = 0.1
#: How many standard deviations of normal noise lie between the two.
NORMAL: Final = 2.56
#: Days that are all alike deviate, too: by a twentieth of what they span, so that 15 % of it are 3 sigma.
SPAN: Final = 20
#: What was reached in the last day that is known is not new until it is exceeded by this share of the span.
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
        return self._of_hours("avg_over_time", 0.5)

    def highest(self) -> str:
        """The highest five minutes of a usual day, and a margin."""
        return self._edge("+", DAY_HIGHEST)

    def lowest(self) -> str:
        return self._edge("-", DAY_LOWEST)

    def _past(self) -> Iterator[Record]:
        def of_the_day(function: str, expression: str) -> str:
            return f"{function}({expression}[{format_duration(DAY - SECOND)}:{format_duration(SHORT)}])"

        change = f"abs({self.short} - {self.hour})"
        for metric, expression, why in (
            (HOUR_MEAN, self.hour, "The mean of the last hour."),
            (DAY_HIGHEST, of_the_day("max_over_time", self.short), "The highest five minutes of the last day."),
            (DAY_LOWEST, of_the_day("min_over_time", self.short), "The lowest five minutes of the last day."),
            (DAY_CHANGE, of_the_day("max_over_time", change), "The largest distance of five minutes from their hour."),
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
            usual = partial(self._of_hours, f"{function}_over_time")
            latest = over(f"{function}_over_time", hours, DAY - SECOND, offset=BLIND)
            edge = outermost(function, self._beyond(sign, usual, alike, latest, again))
            yield recorded(self.detector, metric, edge, f"How {side} the mean of an hour may get.")
        latest = over("avg_over_time", hours, DAY - SECOND, offset=BLIND)
        reach = self._margins(partial(self._of_hours, "avg_over_time"), alike)
        reach["latest"] = f"abs({latest} - {self._lately(BAND_MEAN)})\n+\n{again}"
        why = "How far from the usual level the mean of a day may get."
        yield recorded(self.detector, DAY_REACH, outermost("max", reach), why)
        change = series(DAY_CHANGE, self.detector)
        latest = over("last_over_time", change, 3 * HOUR, offset=BLIND)
        edge = outermost("max", self._beyond("+", partial(self._of_days, change), alike, latest, again))
        yield recorded(self.detector, CHANGE_REACH, edge, "How far from the mean of their hour five minutes may get.")

    def _edge(self, sign: str, metric: str) -> str:
        past = series(metric, self.detector)
        highest, lowest = (self._of_days(series(each, self.detector), 0.5) for each in (DAY_HIGHEST, DAY_LOWEST))
        span = f"(\n  {highest}\n  -\n  {lowest}\n)"
        latest = over("last_over_time", past, 3 * HOUR, offset=BLIND)
        again = f"{number(AGAIN)} * {span}"
        edge = self._beyond(sign, partial(self._of_days, past), f"{span} / {SPAN}", latest, again)
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

    def _of_days(self, past: str, quantile: float) -> str:
        return self._quantile(f"{past}[{format_duration(self.detector.window)}]", quantile)

    def _of_hours(self, function: str, quantile: float) -> str:
        """Of the hours of a day in one number, for one day every three hours."""
        day = over_block(function, series(HOUR_MEAN, self.detector), DAY)
        return self._quantile(f"{day}[{format_duration(self.detector.window)}:{format_duration(STRIDE)}]", quantile)

    def _quantile(self, past: str, quantile: float) -> str:
        return f"quantile_over_time({number(quantile)}, {past} offset {format_duration(BLIND)})"

    def _lately(self, metric: str) -> str:
        return lately(self.detector, metric)


def lately(detector: Detector, metric: str) -> str:
    """A series of one of the slow groups, which would vanish from sight after five minutes."""
    return over("last_over_time", series(metric, detector), 3 * HOUR)
