"""Every metric, label and annotation name that crosses between rules, alerts, playbooks and dashboards.

The rule generator writes them, the receiver reads them; a name that stands in two places stands here.
"""

from typing import Final

# ── recorded series, each with a `detector` label and the labels of the detector's `by` ──
VALUE: Final = "amend:value"
BAND_MEAN: Final = "amend:band_mean"
BAND_STDDEV: Final = "amend:band_stddev"
BAND_UPPER: Final = "amend:band_upper"
BAND_LOWER: Final = "amend:band_lower"
ZSCORE: Final = "amend:zscore"
SCORE: Final = "amend:score"
SAMPLES: Final = "amend:samples"
# what these are made of, recorded so that one can look at each step by itself
ONLY_IF: Final = "amend:only_if"  #: there while the detector's `only_if` holds
LEARNED: Final = "amend:learned"  #: the value as the band learns from it: cut off at the band's edge
LEARNED_MEAN: Final = "amend:learned_mean"  #: of one short block, for windows too long to read sample by sample
LEARNED_VARIANCE: Final = "amend:learned_variance"  #: of the same block
SETTLED: Final = "amend:settled"  #: there while a new level has lasted so long that it is learned as it is
# what bands of quantiles are made of
DEVIATION: Final = "amend:deviation"  #: how far the learned value is from the usual level
LEARNED_MEDIAN: Final = "amend:learned_median"  #: of one short block
LEARNED_DEVIATION: Final = "amend:learned_deviation"  #: what nine tenths of the deviations in the same block keep to
ABOVE: Final = "amend:above"  #: from the median to the upper quartile
BELOW: Final = "amend:below"  #: from the lower quartile to the median
LEARNED_ABOVE: Final = "amend:learned_above"  #: the same inside of one short block
LEARNED_BELOW: Final = "amend:learned_below"  #: the same inside of one short block
# what a seasonal band is made of
EXPECTED: Final = "amend:expected"  #: what past seasons say of this time
LEVEL: Final = "amend:level"  #: the mean of the last whole day
GROWTH: Final = "amend:growth"  #: how much larger that is than it was a season ago
SPREAD: Final = "amend:spread"  #: how far off they usually are at this time
# what a forecast is made of
RECENT: Final = "amend:recent"  #: the mean of the last quarter of the time that the trend is told from
RISE: Final = "amend:rise"  #: how much more that is than a quarter before
VISITED: Final = "amend:visited"  #: how far the value got in the window before that
FORECAST: Final = "amend:forecast"  #: the worse of the value now and what it will be

# of the days that the band novelty compares
HOUR_AWAY: Final = "amend:hour_away"
HOUR_CHANGE: Final = "amend:hour_change"
DAY_MEAN: Final = "amend:day_mean"
DAY_HIGHEST: Final = "amend:day_highest"
DAY_LOWEST: Final = "amend:day_lowest"
HOUR_REACH: Final = "amend:hour_reach"
DAY_REACH: Final = "amend:day_reach"
CHANGE_REACH: Final = "amend:change_reach"
PART: Final = "amend:part_"
"""In place of `amend:` where one detector has several bands: what each of them says by itself, with its `band`."""

# ── labels ──
ALERTNAME: Final = "alertname"
DETECTOR: Final = "detector"
BAND: Final = "band"  #: of several bands of one detector, the one that says this
SEVERITY: Final = "severity"
SERVICE: Final = "service"

# ── annotations ──
SUMMARY: Final = "summary"
DESCRIPTION: Final = "description"
RUNBOOK_URL: Final = "runbook_url"
DASHBOARD_URL: Final = "dashboard_url"
NUMBERS: Final = ("value", "mean", "stddev", "z_score", "score", "deviation_percent")
"""Annotations that hold a number as text (`%.4g`): what a playbook's `condition` may read."""
