from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from harness.analysis.tables import METRICS

MakeMetrics = Callable[..., pd.DataFrame]


@pytest.fixture
def make_metrics() -> MakeMetrics:
    """Return a maker of tables like those of `run_metrics`, from {(env, algo): scores}; None is a failed run."""

    def make(
        scores: Mapping[tuple[str, str], Sequence[float | None]],
        *,
        digests: Mapping[str, str] | None = None,
        **columns: float,
    ) -> pd.DataFrame:
        rows: list[dict[str, Any]] = []
        for (env, algo), values in scores.items():
            for seed, score in enumerate(values):
                status = "failed" if score is None else "finished"
                digest = (digests or {}).get(algo, algo)
                row: dict[str, Any] = {
                    "algo": algo,
                    "env": env,
                    "seed": seed,
                    "status": status,
                    "score": math.nan if score is None else score,
                    "score_source": "" if score is None else "final_evaluation",
                    "error": "ValueError: NaN" if score is None else "",
                    "steps": 100,
                    "train_seconds": 2.0,
                    "fps": 50.0,
                    "parameters_digest": "" if score is None else f"{digest} {seed}",
                }
                other = {metric.name: row["score"] for metric in METRICS if metric.name not in row}
                rows.append(row | other | columns)
        table = pd.DataFrame(rows)
        for name in ("algo", "env"):
            table[name] = pd.Categorical(table[name], list(dict.fromkeys(table[name])), ordered=True)
        return table

    return make
