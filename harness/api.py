"""The harness from Python and notebooks: train a comparison, load results, evaluate agents again.

    from harness import compare, evaluate, load_results

    report = compare("configs/smoke.yml")
    report.summary                        # a pandas DataFrame
    report.figure("iqm_curves")           # a matplotlib Figure

The functions do what the commands of the same names do, with the same files on disk. Importing this module loads
neither torch nor pandas.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config import ExperimentConfig, Reading, StatisticsConfig, load_config, read_config, resolved_text
from harness.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console

    from harness.analysis.frames import Results

__all__ = ["Report", "compare", "evaluate", "load_results"]

EXPERIMENT_NAME = "experiment.yml"


@dataclass(frozen=True)
class Report:
    """Results of runs with everything that a report makes of them: tables as DataFrames, figures of matplotlib.

    Tables and figures are computed when they are first asked for, with the settings in `statistics`.
    """

    results: Results
    """Tidy tables of all runs, their episodes, evaluations and logged values."""

    statistics: StatisticsConfig
    """Settings of intervals, tests and margins."""

    @property
    def runs(self) -> pd.DataFrame:
        """One row for each run, failed and missing ones included: status, score, steps, seconds, error, path."""
        return self.results.runs

    @property
    def episodes(self) -> pd.DataFrame:
        """One row for each training episode: timestep, reward, length, seconds."""
        return self.results.episodes

    @property
    def evaluations(self) -> pd.DataFrame:
        """One row for each evaluation during training: timestep, reward, std, length, n_episodes."""
        return self.results.evaluations

    @property
    def progress(self) -> pd.DataFrame:
        """One row for each logged value: timestep, key, value."""
        return self.results.progress

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row for each run with its metrics: score, area under the curve, stability."""
        from harness.analysis.tables import run_metrics

        return run_metrics(self.results, self.statistics)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row for each environment and algorithm: estimates over seeds with their intervals."""
        from harness.analysis.tables import summary_table

        return summary_table(self.metrics, self.statistics)

    @cached_property
    def pairwise(self) -> pd.DataFrame:
        """One row for each environment and pair of algorithms: difference, p-value, effect size, verdict."""
        from harness.analysis.tables import compare_scores, pairwise_table

        return pairwise_table(compare_scores(self.metrics, self.statistics), self.statistics)

    @cached_property
    def stability(self) -> pd.DataFrame:
        """One row for each environment, pair of algorithms and measure of stability."""
        from harness.analysis.tables import compare_stability, stability_table

        return stability_table(compare_stability(self.metrics, self.statistics))

    @property
    def figure_names(self) -> tuple[str, ...]:
        """Names that `figure` takes."""
        from harness.analysis.plots.registry import registered_figures

        return tuple(registered_figures())

    def figure(self, name: str) -> Figure:
        """Return a figure by its name; raise KeyError, with the known names, for another one."""
        from harness.analysis.plots.registry import registered_figures
        from harness.analysis.plots.save import draw
        from harness.analysis.tables.seed_estimates import BOOTSTRAP_SEED

        known = registered_figures()
        if name not in known:
            raise KeyError(f"there is no figure {name!r}; there are {', '.join(known)}")
        keywords = inspect.signature(known[name]).parameters
        return draw(
            known[name],
            self.results,
            window=self.statistics.smoothing_window,
            confidence=self.statistics.confidence,
            n_resamples=self.statistics.n_bootstrap,
            bootstrap_seed=BOOTSTRAP_SEED,
            **{table: getattr(self, table) for table in ("pairwise", "stability") if table in keywords},
        )


def compare(
    experiment: str | os.PathLike[str] | Mapping[str, Any] | ExperimentConfig,
    *,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    quiet: bool = False,
    trust: Sequence[str] = (),
    check: bool = True,
    executor: str = "local",
    address: str | None = None,
    storage: str | os.PathLike[str] | None = None,
) -> Report:
    """Train every algorithm on every environment with every seed, as `harness compare`, and return the results.

    experiment: a configuration file, the same as a mapping, or an ExperimentConfig.
    out: folder for the results; None for results/NAME below the working directory. Runs that are finished there are
        kept: a second call trains only what is missing.
    workers: number of runs in parallel; None for one per core, of this machine or of the cluster.
    quiet: True prints nothing; otherwise notes, progress and tables are printed.
    trust: packages that the experiment may import, such as that of your own environment.
    check: True tries every environment and algorithm out first, for a few steps.
    executor: "local" for processes of this machine, or "ray" for a Ray cluster.
    address: HOST:PORT of the cluster's head; None for the cluster of this machine.
    storage: folder that all machines of the cluster share, or URL of one for fsspec.

    A run that fails is a row of `runs` with its error, not an exception. Raises ConfigError with all mistakes in the
    experiment, a line for each, and HarnessError if the runs cannot start. After KeyboardInterrupt every finished run
    is kept.
    """
    from rich.console import Console

    from harness.execution import check_executor, executor_named
    from harness.main_job import compare as run_experiment

    check_executor(executor, address=address, storage=None if storage is None else os.fspath(storage))
    console = Console(quiet=quiet)
    with _workers_without_script():
        config = _validated(experiment, trust, check, console)
        folder = Path(out) if out is not None else Path("results") / config.name
        chosen = executor_named(
            executor,
            workers,
            config.execution,
            address=address,
            storage=None if storage is None else os.fspath(storage),
        )
        run_experiment(config, folder, chosen.n_workers, console, executor=chosen, try_out=False)
    return load_results(folder)


def load_results(*folders: str | os.PathLike[str], statistics: StatisticsConfig | None = None) -> Report:
    """Return the results in folders: of an experiment, of several, or any logs of SB3 or rl_zoo3.

    statistics: settings of the tables and figures; None for those of the experiment, or the defaults.
    Of one experiment the runs of its plan are loaded, and missing ones are rows of `runs`; of other folders all runs.
    Raises RecordError if a folder does not exist, holds no run, or holds a damaged one.
    """
    from harness.analysis.frames import load_results as load_frames
    from harness.analysis.report import planned_results

    paths = [Path(folder) for folder in folders]
    if not paths:
        raise RecordError("load_results() needs a folder, such as results/compare")
    plan = paths[0] / EXPERIMENT_NAME
    config = load_config(plan) if plan.exists() else None
    if config is not None and len(paths) == 1:
        return Report(planned_results(config, paths[0] / "runs"), statistics or config.statistics)
    own = StatisticsConfig() if config is None else config.statistics
    return Report(load_frames(*paths), statistics or own)


def evaluate(
    *folders: str | os.PathLike[str],
    episodes: int | None = None,
    deterministic: bool = True,
    env: str | None = None,
    seeds: int | Sequence[int] | None = None,
    best: bool = False,
    workers: int | None = None,
    trust: Sequence[str] = (),
    trust_pickle: bool = False,
    time_limit: float | None = None,
) -> pd.DataFrame:
    """Evaluate trained agents again, as `harness evaluate`; return one row for each run.

    folders: of single runs, or of results for all runs in them.
    episodes: for each seed; None for as many as in the final evaluation.
    deterministic: False draws actions from the policy.
    env: Gymnasium id of another environment with the same spaces.
    seeds: start states of the final evaluations of these seeds; None for each run's own.
    best: True takes the best model by the evaluations during training.
    trust: packages whose code the records may name; trust_pickle: True unpickles files of other programs, which can run
        any code.
    time_limit: seconds that one run may take; None for an hour, and ten seconds for each episode.

    Columns: algo, env, seed, score (mean return), score_std, n_episodes, rewards, lengths (tuples with an entry for
    each episode), error ("" or the reason why there is no result), path. Without options, rewards are those of the
    final evaluation, to the last bit. Raises RecordError if a folder holds no run.
    """
    import pandas as pd

    from harness.evaluation.settings import EvaluationSettings
    from harness.evaluation.several_runs import evaluate_runs, spread
    from harness.experiment.inventory import runs_at

    settings = EvaluationSettings(
        episodes=episodes,
        deterministic=deterministic,
        env=env,
        seeds=None if seeds is None else (seeds,) if isinstance(seeds, int) else tuple(seeds),
        snapshot="best" if best else "final",
        trusted=tuple(trust),
        trust_pickle=trust_pickle,
    )
    runs = runs_at(Path(folder) for folder in folders)
    with _workers_without_script():
        evaluations = evaluate_runs(runs, settings, workers or _cores(), time_limit=time_limit)
    return pd.DataFrame(
        {
            "algo": [e.algo for e in evaluations],
            "env": [e.env for e in evaluations],
            "seed": [e.seed for e in evaluations],
            "score": [e.score for e in evaluations],
            "score_std": [spread(e) for e in evaluations],
            "n_episodes": [len(e.rewards) for e in evaluations],
            "rewards": [e.rewards for e in evaluations],
            "lengths": [e.lengths for e in evaluations],
            "error": [e.error for e in evaluations],
            "path": [e.path for e in evaluations],
        }
    )


def _validated(
    experiment: str | os.PathLike[str] | Mapping[str, Any] | ExperimentConfig,
    trust: Sequence[str],
    check: bool,
    console: Console,
) -> ExperimentConfig:
    """Return the validated experiment, and print notes; raise ConfigError with all mistakes."""
    from harness.validation import validate

    validation = validate(_reading(experiment), trusted=trust, try_out=check)
    if validation.config is None:
        raise ConfigError("\n".join(map(str, validation.problems)))
    faults = (f"{fault}; its runs are started all the same" for fault in validation.faults)
    for note in [*faults, *validation.notes]:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if isinstance(experiment, ExperimentConfig):  # with the text and the path of the file that it was read from
        return replace(experiment, trusted_packages=validation.config.trusted_packages)
    return validation.config


def _reading(experiment: str | os.PathLike[str] | Mapping[str, Any] | ExperimentConfig) -> Reading:
    """Return what can be read of an experiment; raise ConfigError for a mapping that is no plain data."""
    if isinstance(experiment, ExperimentConfig):
        return read_config(Path("experiment"), resolved_text(experiment), has_lines=False)
    if not isinstance(experiment, Mapping):
        return read_config(Path(experiment))
    import yaml

    try:
        text = yaml.safe_dump(dict(experiment), sort_keys=False)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"experiment: expected plain data such as in a YAML file ({reason})") from None
    # The user wrote no such text, so that its lines mean nothing.
    return read_config(Path("experiment"), text, has_lines=False)


def _cores() -> int:
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


@contextmanager
def _workers_without_script() -> Iterator[None]:
    """Keep worker processes in the `with` block from running the user's script again.

    A process of multiprocessing imports the main module of its parent, which would call `compare` once more in every
    worker unless the script has the guard `if __name__ == "__main__"`. Workers of the harness need nothing of it.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    # Taken from multiprocessing.spawn.get_preparation_data, which asks for these two.
    main.__spec__ = None
    if "__file__" in hidden:
        del main.__file__
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
