"""Train one run: from a RunSpec to a RunRecord and the files of the run."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.vec_env import VecEnv, sync_envs_normalization

from harness.experiment.plan import RunSpec
from harness.experiment.run_folder import CHECKPOINT_NAME, n_attempts
from harness.experiment.run_records import RunRecord, fingerprints, write_record
from harness.training.callbacks import Evaluation, ProgressReporter, SaveNormalization, Stopwatch, TrustRegion
from harness.training.checkpoints import Checkpoint, Checkpointing, RunPaused, csv_logger, restored_run
from harness.training.control import Control
from harness.training.envs import lean_classes, make_eval_env, make_training_env, save_normalization
from harness.training.evaluation import evaluated
from harness.training.failures import described, is_full
from harness.training.lean_predictions import lean_predictions
from harness.training.models import build_model
from harness.training.progress import Progress
from harness.training.provenance import engine_of, provenance, resources_used, utc_now
from harness.training.trackers import open_trackers
from harness.training.zoo_callbacks import build_callbacks, not_resumable

__all__ = ["failed_record", "parameters_digest", "train_and_record", "train_run"]

EVAL_SEED = 1_000_000
"""Offset of evaluation seeds from training seeds; the runs of one seed share them, for all algorithms."""

FINAL_EVAL_SEED = 2_000_000
"""Offset of the seeds of the final evaluation."""

SEEDS_PER_RUN = 1_000
"""Distance between the evaluation seeds of two runs: larger than any number of parallel environments."""

N_LOG_ROWS = 200
"""Target for the number of rows in `progress.csv`, so that short rollouts do not make large files."""


def train_and_record(
    spec: RunSpec,
    run_path: Path,
    report: Callable[[Progress], None],
    control: Control | None = None,
    checkpoint: Checkpoint | None = None,
) -> RunRecord:
    """Train and write `run.json`; anything that is raised becomes a failed record with its traceback.

    control, checkpoint: see `train_run`. Raises OSError if files cannot be written, for want of space or of the record
    itself, and RunPaused if the run was asked to pause.
    """
    started, clock = utc_now(), time.perf_counter()
    try:
        record = train_run(spec, run_path, report, control, checkpoint)
    except RunPaused:
        raise
    # SystemExit and KeyboardInterrupt too: a worker ignores Ctrl-C, so only the environment or the algorithm raises it.
    except BaseException as error:
        if is_full(error, run_path):
            raise OSError(errno.ENOSPC, "no space left on this disk") from error
        record = failed_record(spec, described(error), started, time.perf_counter() - clock)
    context = control.context if control is not None else {}
    record = replace(record, attempts=n_attempts(run_path), files=fingerprints(run_path), **resources_used(), **context)
    write_record(run_path, record)
    (run_path / CHECKPOINT_NAME).unlink(missing_ok=True)
    return record


def failed_record(spec: RunSpec, error: dict[str, str], started: str, wall_seconds: float) -> RunRecord:
    """Return the record of a run that raised; error: `type`, `message`, `traceback`."""
    return RunRecord(
        spec, "failed", started, wall_seconds, error=error, threads=torch.get_num_threads(), **provenance()
    )


def train_run(
    spec: RunSpec,
    run_path: Path,
    report: Callable[[Progress], None] = lambda _: None,
    control: Control | None = None,
    checkpoint: Checkpoint | None = None,
) -> RunRecord:
    """Train, evaluate and save one run into its folder, except for `run.json`.

    report: called a few times a second with the progress. Errors of the environment or the algorithm are not caught.
    control: makes checkpoints and allows a pause, for algorithms that can continue exactly; None makes none.
    checkpoint: where the run continues; None begins it.
    """
    started, clock = utc_now(), time.perf_counter()
    run_path.mkdir(parents=True, exist_ok=True)
    restored = None if checkpoint is None else restored_run(checkpoint, spec, run_path)
    name = spec.env.replace("/", "-")
    zoo_path = run_path / name  # rl_zoo3 keeps the settings of a run in a folder named after the env
    _write_settings(spec, zoo_path)

    # First, as in rl_zoo3: importing rl_zoo3 changes environments that are made later.
    own_callbacks = build_callbacks(spec, run_path)
    watch = Stopwatch()
    before: Mapping[str, float] = {"wall": 0.0, "train": 0.0}
    if restored is None:
        classes = lean_classes()
        training_env = make_training_env(spec, run_path, classes=classes)
        eval_env = make_eval_env(spec, EVAL_SEED + SEEDS_PER_RUN * spec.seed, spec.n_eval_episodes, classes=classes)
    else:
        training_env, eval_env = restored.model.env, restored.eval_env
        started, before, watch.seconds = restored.started, restored.seconds, restored.seconds["callbacks"]
    # Before the model, whose constructor seeds all generators; each tracker restores those of a run that goes on.
    names = () if control is None else control.logging
    trackers = open_trackers(names, spec, run_path, None if restored is None else restored.trackers)
    try:
        model = build_model(spec, training_env) if restored is None else restored.model
        model.set_logger(csv_logger(run_path, "" if restored is None else restored.progress))
        model.logger.output_formats += trackers
        evaluation = Evaluation(
            eval_env,
            watch,
            eval_freq=max(spec.eval_freq // training_env.num_envs, 1),
            n_eval_episodes=spec.n_eval_episodes,
            log_path=str(run_path),
            best_model_save_path=str(run_path),
            callback_on_new_best=SaveNormalization(zoo_path / "best_vecnormalize.pkl"),
        )
        trust_region = TrustRegion(watch, spec.n_timesteps)
        callbacks = [*own_callbacks, evaluation, trust_region, ProgressReporter(report)]
        train_clock = time.perf_counter()

        def seconds() -> dict[str, float]:
            now = time.perf_counter()
            wall, train = before["wall"] + now - clock, before["train"] + now - train_clock
            return {"wall": wall, "train": train, "callbacks": watch.seconds}

        watched = [evaluation, evaluation.callback_on_new_best, trust_region, *own_callbacks]
        resumed_at = () if restored is None else restored.resumed_at
        if restored is not None:
            restored.restore_callbacks(watched)
        if control is not None:
            callbacks.append(
                Checkpointing(
                    spec,
                    run_path,
                    control,
                    eval_env=eval_env,
                    watched=watched,
                    measure=trust_region.measure,
                    seconds=seconds,
                    started=started,
                    resumed_at=resumed_at,
                    trackers=trackers,
                    is_possible=not not_resumable(own_callbacks),
                )
            )
        model.learn(spec.n_timesteps, callback=CallbackList(callbacks), log_interval=_log_interval(model, spec))
        train_seconds = seconds()["train"] - watch.seconds
        # A last row for the values of the last update. SB3 logs the timestep only after a rollout, and readers of
        # progress.csv skip rows without one.
        model.logger.record("time/total_timesteps", model.num_timesteps)
        model.logger.dump(model.num_timesteps)
        model.logger.close()
        model.save(run_path / f"{name}.zip")  # SB3 adds the suffix only to names without a dot
        if "save" in vars(model):
            # A callback such as rl_zoo3's ParallelTrainCallback lets another model be saved: the one it has trained.
            model.set_parameters(run_path / f"{name}.zip", device="cpu")
        normalization = model.get_vec_normalize_env()
        if normalization is not None:
            save_normalization(normalization, zoo_path / "vecnormalize.pkl")
        report(Progress(model.num_timesteps, float("nan"), "evaluating"))
        rewards, lengths, successes = final_evaluation(model, spec)
    finally:
        for tracker in trackers:
            tracker.close()
        training_env.close()
        eval_env.close()
    return RunRecord(
        spec,
        "finished",
        started,
        seconds()["wall"],
        train_seconds=train_seconds,
        steps=model.num_timesteps,
        final_rewards=rewards,
        final_lengths=lengths,
        final_successes=successes,
        parameters_digest=parameters_digest(model.policy),
        engine=engine_of(model),
        threads=torch.get_num_threads(),
        resumed_at=resumed_at,
        troubles=tuple(f"{tracker.name}: {tracker.trouble}" for tracker in trackers if tracker.trouble),
        **provenance(),
    )


def final_evaluation(model: Any, spec: RunSpec) -> tuple[tuple[float, ...], tuple[int, ...], tuple[bool, ...]]:
    """Return the returns, lengths and successes of n_final_episodes deterministic episodes of a trained model.

    There are no successes unless every episode ends with `is_success` in its info.
    """
    seed = FINAL_EVAL_SEED + SEEDS_PER_RUN * spec.seed
    env = make_eval_env(spec, seed, spec.n_final_episodes, classes=lean_classes())
    try:
        _copy_normalization(model, env)
        with lean_predictions(model):
            episodes = evaluated(model, env, spec.n_final_episodes)
    finally:
        env.close()
    # Where a life of several ends an episode for the agent alone, there are more of them than of returns.
    successes = episodes.successes if len(episodes.successes) == len(episodes.returns) else []
    return tuple(map(float, episodes.returns)), tuple(map(int, episodes.lengths)), tuple(map(bool, successes))


def _copy_normalization(model: Any, env: VecEnv) -> None:
    if model.get_vec_normalize_env() is not None:
        sync_envs_normalization(model.get_env(), env)


def _log_interval(model: Any, spec: RunSpec) -> int:
    """Return the number of rollouts (off-policy: episodes) between two rows of `progress.csv`."""
    n_steps: int | None = getattr(model, "n_steps", None)
    if n_steps is None:
        return 4  # SB3's default for off-policy algorithms
    n_rollouts = spec.n_timesteps / (n_steps * int(model.n_envs))
    return max(1, round(n_rollouts / N_LOG_ROWS))


def _write_settings(spec: RunSpec, zoo_path: Path) -> None:
    """Write `config.yml` and `args.yml`, from which rl_zoo3 loads the run."""
    zoo_path.mkdir(parents=True, exist_ok=True)
    hyperparams = {**spec.hyperparams, "n_timesteps": spec.n_timesteps}
    # rl_zoo3 expects this tag, followed by a list of pairs.
    pairs = [[key, hyperparams[key]] for key in sorted(hyperparams)]
    text = "!!python/object/apply:collections.OrderedDict\n" + yaml.safe_dump([pairs])
    (zoo_path / "config.yml").write_text(text, encoding="utf-8")
    arguments = {"algo": spec.algo, "env": spec.env, "seed": spec.seed, "n_timesteps": spec.n_timesteps}
    text = "!!python/object/apply:collections.OrderedDict\n" + yaml.safe_dump([[[k, v] for k, v in arguments.items()]])
    (zoo_path / "args.yml").write_text(text, encoding="utf-8")


def parameters_digest(policy: torch.nn.Module) -> str:
    """Return the SHA-256 of name, type, shape and bytes of every tensor of the policy; equal for equal bits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.state_dict().items()):
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
