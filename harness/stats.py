"""Public name of the statistics: `from harness.stats import iqm, verdict, ...`."""

from harness.analysis.stats import *  # noqa: F403
from harness.analysis.stats import __all__ as __all__
