"""Detection: specs become recording and alerting rules, their unit tests and dashboards, for the user's Prometheus.

The command line calls generate.py; nothing of the receiver is imported here, nor imports this when it serves.
"""

from collections.abc import Mapping
from typing import Final

from receiver.rulegen.any_of import AnyOf
from receiver.rulegen.band import Band
from receiver.rulegen.classic import Classic
from receiver.rulegen.forecast import Forecast
from receiver.rulegen.iqr import Iqr
from receiver.rulegen.novelty import Novelty
from receiver.rulegen.robust import Robust
from receiver.rulegen.seasonal import Seasonal
from receiver.rulegen.spec import ANY_OF
from receiver.rulegen.threshold import Threshold
from receiver.rulegen.zscore import ZScore

_SINGLE: Final[Mapping[str, Band]] = {
    "classic": Classic(),
    "forecast": Forecast(),
    "iqr": Iqr(),
    "novelty": Novelty(),
    "robust": Robust(),
    "seasonal": Seasonal(),
    "threshold": Threshold(),
    "zscore": ZScore(),
}
"""Adding a band is one new file and one line here."""

BANDS: Final[Mapping[str, Band]] = {**_SINGLE, ANY_OF: AnyOf(_SINGLE)}
"""What `band` may name."""
