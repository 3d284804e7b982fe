"""Evaluate one stored run: rebuild its agent, play whole episodes, return their rewards. Runs in a worker process."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from harness.errors import RecordError
from harness.evaluation.agents import StoredAgent, rebuild_agent
from harness.evaluation.foreign_agents import load_foreign_agent
from harness.evaluation.settings import EvaluationSettings
from harness.experiment.plan import RunSpec
from harness.experiment.run_records import RECORD_NAME
from harness.training.action_masks import METHOD, evaluate_policy_for, has_masks, needs_masks
from harness.training.envs import check_environment, lean_classes, make_eval_env
from harness.training.lean_predictions import lean_predictions
from harness.training.train import FINAL_EVAL_SEED, SEEDS_PER_RUN

__all__ = ["check_spaces", "evaluate_run", "evaluated_spec", "open_agent"]


def evaluate_run(run_path: Path, settings: EvaluationSettings) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return return and length of every episode of a stored run, those of the first seed first.

    With the default settings they equal those of the final evaluation in the record, to the last bit.
    Raises RecordError if the run cannot be evaluated, UnknownNameError for an environment that does not exist.
    """
    agent = open_agent(run_path, settings)
    seeds = (agent.spec.seed,) if settings.seeds is None else settings.seeds
    results = [_evaluate(agent, settings, seed) for seed in seeds]
    rewards = tuple(float(reward) for rewards, _ in results for reward in rewards)
    return rewards, tuple(int(length) for _, lengths in results for length in lengths)


def open_agent(run_path: Path, settings: EvaluationSettings) -> StoredAgent:
    """Return the agent of a folder: rebuilt from its record, or unpickled if it has none and pickles are trusted."""
    if settings.trust_pickle and not (run_path / RECORD_NAME).exists():
        return load_foreign_agent(run_path, settings.snapshot)
    return rebuild_agent(run_path, settings.snapshot, trusted=settings.trusted, trust_pickle=settings.trust_pickle)


def evaluated_spec(spec: RunSpec, env: str | None) -> RunSpec:
    """Return the spec of the environments of an evaluation; another environment does not get the arguments of the own.

    Raises UnknownNameError if the other environment does not exist.
    """
    if env is None or env == spec.env:
        return spec
    check_environment(env)
    kept = {key: value for key, value in spec.hyperparams.items() if key != "env_kwargs"}
    return replace(spec, env=env, hyperparams=kept)


def check_spaces(agent: StoredAgent, env: VecEnv, name: str) -> None:
    """Raise RecordError unless observations, actions and action masks of env are those of the agent's training."""
    for kind in ("observation", "action"):
        trained: gymnasium.Space[object] = getattr(agent.model, f"{kind}_space")
        found: gymnasium.Space[object] = getattr(env, f"{kind}_space")
        if trained != found:
            raise RecordError(
                f"{name} has another {kind} space than {agent.spec.env}: {_short(found)} instead of {_short(trained)}; "
                "an agent can only be evaluated where both are equal"
            )
    if needs_masks(type(agent.model)) and not has_masks(env):
        raise RecordError(f"{name} has no method {METHOD}(), which {agent.spec.algo_class} needs to choose an action")


def _evaluate(agent: StoredAgent, settings: EvaluationSettings, seed: int) -> tuple[list[float], list[int]]:
    n_episodes = settings.episodes or agent.spec.n_final_episodes
    first = FINAL_EVAL_SEED + SEEDS_PER_RUN * seed
    spec = evaluated_spec(agent.spec, settings.env)
    env = make_eval_env(spec, first, n_episodes, classes=lean_classes())
    try:
        check_spaces(agent, env, spec.env)
        agent.normalise_as_in_training(env)
        if not settings.deterministic:
            set_random_seed(first)
            agent.model.action_space.seed(first)  # of which DQN draws its random actions
        with warnings.catch_warnings(), lean_predictions(agent.model):
            warnings.simplefilter("ignore")
            rewards, lengths = evaluate_policy_for(agent.model, env)(
                agent.model,
                env,
                n_episodes,
                deterministic=settings.deterministic,
                return_episode_rewards=True,
            )
    finally:
        env.close()
    assert isinstance(rewards, list)
    assert isinstance(lengths, list)
    return rewards, lengths


def _short(space: object) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
