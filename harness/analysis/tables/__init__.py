"""Tables of results: runs, summary over seeds, and comparisons of scores and of stability."""

from harness.analysis.tables.aggregates import aggregate_tables
from harness.analysis.tables.comparisons import Comparison, compare_scores, compare_stability, compare_task
from harness.analysis.tables.information import information_metrics, with_information
from harness.analysis.tables.metrics import METRICS, Metric
from harness.analysis.tables.notes import table_notes
from harness.analysis.tables.pairwise import pairwise_table, stability_table, task_table
from harness.analysis.tables.per_run import run_metrics
from harness.analysis.tables.run_data import RunData
from harness.analysis.tables.seed_estimates import Estimate, Shown
from harness.analysis.tables.self_test import self_test_sentences, self_test_table
from harness.analysis.tables.summary import summary_table
from harness.analysis.tables.text import display_table, has_parquet, write_tables
from harness.analysis.tables.thresholds import passage_table, passages, time_to_threshold_table

__all__ = [
    "METRICS",
    "Comparison",
    "Estimate",
    "Metric",
    "RunData",
    "Shown",
    "aggregate_tables",
    "compare_scores",
    "compare_stability",
    "compare_task",
    "display_table",
    "has_parquet",
    "information_metrics",
    "pairwise_table",
    "passage_table",
    "passages",
    "run_metrics",
    "self_test_sentences",
    "self_test_table",
    "stability_table",
    "summary_table",
    "table_notes",
    "task_table",
    "time_to_threshold_table",
    "with_information",
    "write_tables",
]
