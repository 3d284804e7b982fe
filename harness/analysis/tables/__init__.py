"""Results -> tables: what each run did, what each algorithm did, and what their comparison allows to say."""

from harness.analysis.tables.metrics import METRICS, Metric, run_metrics
from harness.analysis.tables.pairwise import (
    Comparison,
    compare_scores,
    compare_stability,
    pairwise_table,
    stability_table,
)
from harness.analysis.tables.summary import summary_table
from harness.analysis.tables.text import display_table, write_tables

__all__ = [
    "METRICS",
    "Comparison",
    "Metric",
    "compare_scores",
    "compare_stability",
    "display_table",
    "pairwise_table",
    "run_metrics",
    "stability_table",
    "summary_table",
    "write_tables",
]
