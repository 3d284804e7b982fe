"""Lean stepping of vector environments: results, and attributes left on the environments, are those of SB3's."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize, VecTransposeImage

from custom_ppo.engines.native.library import reason_against_loading
from custom_ppo.sb3 import LeanVecEnv, LeanVecNormalize
from custom_ppo.sb3.compiled_normalization import compiled_moments
from custom_ppo.sb3.normalization import moments_of, normalized_step
from custom_ppo.sb3.resume import ExactCheckpoint
from custom_ppo.sb3.stepping import stepper
from tests.custom_ppo.sb3.lean_model import LeanPPO
from tests.custom_ppo.sb3.models import assert_same_weights, make_model
from tests.custom_ppo.sb3.test_local_variables import StopAfter
from tests.probe_envs import RandomWorld

Step = Callable[[NDArray[Any]], Any]
MakeEnv = Callable[[], gym.Env[Any, Any]]


class Reporting(RandomWorld):
    """A RandomWorld whose infos hold values of all kinds, some of them shared and reused."""

    shared: list[int] = []  # noqa: RUF012

    def __init__(self, observation_space: spaces.Space[Any], time_limit: int = 5) -> None:
        super().__init__(observation_space, spaces.Box(-1, 1, (2,)), time_limit)
        self.position = np.zeros(2)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, _ = super().step(action)
        self.position += 1.0
        self.shared[self.n_steps % 3 :] = [self.n_steps]
        info = {
            "is_success": terminated,
            "position": self.position,
            "distance": np.float64(reward),
            "name": "reporting",
            "nested": {"reward": reward, "none": None},
            "tuple": (1, [2]),
            "objects": np.array([{}, []], dtype=object),
        }
        if self.n_steps % 2:
            info["deep"] = {"list": self.shared, "again": self.shared, "position": self.position}
        return observation, np.float32(reward), terminated, truncated, info


def reporting(space: spaces.Space[Any]) -> MakeEnv:
    return lambda: Monitor(TimeLimit(Reporting(space), 4))


FLOATS = spaces.Box(-1.0, 1.0, (3,), np.float32)
MIXED = spaces.Dict(
    {
        "vector": FLOATS,
        "number": spaces.Box(-1.0, 1.0, (1,), np.float32),
        "matrix": spaces.Box(-1.0, 1.0, (2, 3), np.float32),
        "double": spaces.Box(-1.0, 1.0, (2,), np.float64),
        "image": spaces.Box(0, 255, (2, 2, 3), np.uint8),
        "choice": spaces.Discrete(3),
        "switches": spaces.MultiBinary(2),
    }
)
BOXES = ["vector", "number", "matrix", "double", "image"]
LIMITS = {np.dtype(np.uint8): (0, 255)}

WORLDS: dict[str, MakeEnv] = {
    "CartPole": lambda: Monitor(gym.make("CartPole-v1")),
    "Pendulum": lambda: Monitor(TimeLimit(gym.make("Pendulum-v1"), 7)),
    "Acrobot": lambda: gym.make("Acrobot-v1", max_episode_steps=11),
    "infos of all kinds": reporting(FLOATS),
    "one number": reporting(spaces.Box(-1.0, 1.0, (1,), np.float32)),
    "float64": reporting(spaces.Box(-1.0, 1.0, (3,), np.float64)),
    "matrix": reporting(spaces.Box(-1.0, 1.0, (2, 3), np.float32)),
    "wide": reporting(spaces.Box(-1.0, 1.0, (3, 67), np.float32)),
    "bytes": reporting(spaces.Box(0, 255, (67,), np.uint8)),
    "one byte": reporting(spaces.Box(0, 255, (1,), np.uint8)),
    "Discrete": reporting(spaces.Discrete(5)),
    "Dict": reporting(MIXED),
    "Dict of floats": reporting(spaces.Dict({key: MIXED[key] for key in ("vector", "number", "matrix")})),
}


def seeded(env: VecEnv, n_steps: int = 14) -> tuple[VecEnv, list[NDArray[Any]]]:
    env.seed(3)
    for member in env.unwrapped.envs:  # type: ignore[attr-defined]
        member.unwrapped.observation_space.seed(3)
    rng = np.random.default_rng(0)
    space = env.action_space
    shape = (n_steps, env.num_envs, *(space.shape or ()))
    actions = rng.integers(0, int(space.n), shape) if isinstance(space, spaces.Discrete) else rng.normal(size=shape)
    return env, list(actions if isinstance(space, spaces.Discrete) else actions.astype(np.float32))


def state_of(env: Any) -> dict[str, Any]:
    """Return what a vector environment holds, without the environments themselves."""
    if isinstance(env, VecNormalize):
        names = ("old_obs", "old_reward", "returns", "training")
        own = {name: getattr(env, name) for name in names}
        own["ret_rms"] = vars(env.ret_rms).copy()
        own["obs_rms"] = moments(getattr(env, "obs_rms", None))
        return {**own, **state_of(env.venv)}
    if isinstance(env, VecFrameStack):
        return {"stacked_obs": env.stacked_obs.stacked_obs.copy(), **state_of(env.venv)}
    if isinstance(env, VecTransposeImage):
        return state_of(env.venv)
    names = ("buf_obs", "buf_rews", "buf_dones", "buf_infos", "actions", "reset_infos")
    return pickle.loads(pickle.dumps({name: getattr(env, name) for name in names}))  # type: ignore[no-any-return]


def moments(statistics: Any) -> Any:
    """Return running statistics as numbers, one entry for each key of a Dict."""
    if isinstance(statistics, dict):
        return {key: moments(part) for key, part in statistics.items()}
    return vars(statistics).copy() if isinstance(statistics, RunningMeanStd) else None


def types_of(observations: Any) -> Any:
    """Return the type of an array, or those of a dict in its order, with its class."""
    if isinstance(observations, dict):
        return type(observations), [(key, array.dtype) for key, array in observations.items()]
    return observations.dtype


def without_times(results: Any) -> Any:
    """Return the results of a step without the seconds in Monitor's infos."""
    for info in results[3]:
        info.get("episode", {}).pop("t", None)
    return results


def course(env: VecEnv, step: Step, actions: list[NDArray[Any]]) -> list[Any]:
    """Return everything that an environment returns and holds, step by step."""
    steps: list[Any] = [env.reset()]
    for action in actions:
        results = without_times(step(action))
        types = [[type(value) for value in info.values()] for info in results[3]]
        state = state_of(env)
        for info in state["buf_infos"]:
            info.get("episode", {}).pop("t", None)
        steps.append((results, [types_of(part) for part in results[:3]], types, state))
    return steps


def assert_same_course(ours: VecEnv, theirs: VecEnv, step: Step) -> None:
    (ours, actions), (theirs, _) = seeded(ours), seeded(theirs)
    Reporting.shared.clear()
    our_course = course(ours, step, actions)
    Reporting.shared.clear()
    np.testing.assert_equal(our_course, course(theirs, theirs.step, actions))


@pytest.mark.parametrize("n_envs", [1, 4])
@pytest.mark.parametrize("world", list(WORLDS))
def test_a_stepper_returns_and_leaves_what_dummy_vec_env_does(world: str, n_envs: int) -> None:
    ours, theirs = (DummyVecEnv([WORLDS[world]] * n_envs) for _ in range(2))
    step = stepper(ours)
    assert step != ours.step
    assert_same_course(ours, theirs, step)


NORMALIZATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "rewards alone": {"norm_obs": False},
    "observations alone": {"norm_reward": False, "gamma": 0.9},
    "not training": {"training": False},
    "tight": {"clip_obs": 0.5, "clip_reward": 0.25, "epsilon": 1e-3, "gamma": 1},
}


@pytest.fixture(params=["compiled", "NumPy"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "NumPy":
        monkeypatch.setattr("custom_ppo.sb3.normalization.compiled_moments", lambda env: None)
    elif reason_against_loading():
        pytest.skip("the kernels are not compiled")
    return name


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("settings", list(NORMALIZATIONS))
@pytest.mark.parametrize("n_envs", [1, 3, 9])
@pytest.mark.parametrize("world", ["infos of all kinds", "one number", "float64", "matrix", "bytes", "one byte"])
def test_a_stepper_normalises_as_vec_normalize_does(world: str, n_envs: int, settings: str) -> None:
    ours, theirs = (VecNormalize(DummyVecEnv([WORLDS[world]] * n_envs), **NORMALIZATIONS[settings]) for _ in range(2))
    step = stepper(ours)
    assert step != ours.step
    assert_same_course(ours, theirs, step)


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("settings", list(NORMALIZATIONS))
@pytest.mark.parametrize("keys", [[], ["matrix"], ["number", "vector"], ["double", "matrix"], BOXES], ids=str)
@pytest.mark.parametrize("n_envs", [1, 3, 9])
def test_a_stepper_normalises_the_named_keys_of_a_dict(n_envs: int, keys: list[str], settings: str) -> None:
    ours, theirs = (
        VecNormalize(DummyVecEnv([reporting(copy.deepcopy(MIXED))] * n_envs), norm_obs_keys=keys, **given)
        for given in (NORMALIZATIONS[settings],) * 2
    )
    step = stepper(ours)
    assert step != ours.step
    assert_same_course(ours, theirs, step)


def test_the_kernel_normalises_dicts_of_float32() -> None:
    if reason_against_loading():
        pytest.skip("the kernels are not compiled")
    world = WORLDS["Dict of floats"]
    assert compiled_moments(VecNormalize(DummyVecEnv([world]))) is not None
    assert compiled_moments(VecNormalize(DummyVecEnv([reporting(MIXED)]), norm_obs_keys=["vector"])) is not None
    assert compiled_moments(VecNormalize(DummyVecEnv([reporting(MIXED)]), norm_obs=False)) is not None
    assert compiled_moments(VecNormalize(DummyVecEnv([reporting(MIXED)]), norm_obs_keys=["double"])) is None


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("n_envs", [1, 2])
def test_normalised_images_have_sb3s_bits(n_envs: int) -> None:
    world = reporting(spaces.Box(0, 255, (4, 5, 3), np.uint8))
    ours, theirs = (VecNormalize(DummyVecEnv([world] * n_envs)) for _ in range(2))
    assert_same_course(ours, theirs, stepper(ours))


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("n_envs", [7, 8, 127, 130, 300])
@pytest.mark.parametrize("world", ["one number", "matrix", "float64", "wide", "bytes", "Dict of floats"])
def test_statistics_of_many_environments_have_numpys_bits(world: str, n_envs: int) -> None:
    envs = [VecNormalize(DummyVecEnv([WORLDS[world]] * n_envs)) for _ in range(2)]
    rng = np.random.default_rng(0)
    buffers = envs[0].venv.buf_obs  # type: ignore[attr-defined]
    arithmetic = moments_of(envs[0])
    for _ in range(4):
        arrays = {
            key: rng.normal(3, 100, buffer.shape)
            .clip(*LIMITS.get(buffer.dtype, (-np.inf, np.inf)))
            .astype(buffer.dtype)
            for key, buffer in buffers.items()
        }
        observations = arrays.get(None, arrays)
        rewards, dones = rng.normal(size=n_envs).astype(np.float32), rng.random(n_envs) < 0.1
        found = normalized_step(envs[0], arithmetic, observations, rewards, dones, [{}] * n_envs)
        # Its step with given results, and all of SB3's arithmetic.
        envs[1].venv.step_wait = lambda given=(observations, rewards, dones, [{}] * n_envs): given  # type: ignore[method-assign]
        np.testing.assert_equal(found, envs[1].step_wait())
    for name in ("obs_rms", "ret_rms"):
        np.testing.assert_equal(*(moments(getattr(env, name)) for env in envs))
    np.testing.assert_equal(envs[0].returns, envs[1].returns)


def test_settings_and_statistics_may_be_exchanged_between_steps() -> None:
    ours, theirs = (VecNormalize(DummyVecEnv([WORLDS["CartPole"]] * 2)) for _ in range(2))
    step = stepper(ours)
    (ours, actions), _ = seeded(ours), seeded(theirs)
    np.testing.assert_equal(ours.reset(), theirs.reset())
    for number, action in enumerate(actions):
        for env in (ours, theirs):
            env.training = number != 3
            env.clip_obs = 0.1 * number
            if number == 5:
                env.obs_rms = RunningMeanStd(shape=(4,))  # type: ignore[assignment]
                env.ret_rms.var = np.float64(3.0)  # type: ignore[assignment]
        np.testing.assert_equal(without_times(step(action)), without_times(theirs.step(action)))


@pytest.mark.usefixtures("arithmetic")
def test_statistics_of_one_key_may_be_exchanged_between_steps() -> None:
    ours, theirs = (VecNormalize(DummyVecEnv([WORLDS["Dict of floats"]] * 2)) for _ in range(2))
    step = stepper(ours)
    (ours, actions), _ = seeded(ours), seeded(theirs)
    courses: list[list[Any]] = [[], []]
    for env, env_step, steps in ((ours, step, courses[0]), (theirs, theirs.step, courses[1])):
        Reporting.shared.clear()
        env.reset()
        for number, action in enumerate(actions):
            if number == 5:
                env.obs_rms["vector"] = RunningMeanStd(shape=(3,))
            steps.append([without_times(env_step(action)), moments(env.obs_rms)])
    np.testing.assert_equal(*courses)


class Child(DummyVecEnv):
    """Vector environment of a user."""


def patched(name: str, env: VecEnv) -> VecEnv:
    setattr(env, name, getattr(env, name))
    return env


def with_patched_statistics(env: VecNormalize) -> VecEnv:
    patched("update", env.obs_rms)  # type: ignore[arg-type]
    return env


def with_patched_key(env: VecNormalize) -> VecEnv:
    patched("update", env.obs_rms["vector"])  # type: ignore[arg-type]
    return env


def with_another_key(env: VecNormalize) -> VecEnv:
    env.norm_obs_keys = ["vector"]
    return env


def dicts() -> DummyVecEnv:
    return DummyVecEnv([WORLDS["Dict of floats"]] * 2)


def cartpoles(cls: type[DummyVecEnv] = DummyVecEnv) -> DummyVecEnv:
    return cls([WORLDS["CartPole"]] * 2)


UNKNOWN: dict[str, Callable[[], VecEnv]] = {
    "subclass": lambda: cartpoles(Child),
    "patched step_wait": lambda: patched("step_wait", cartpoles()),
    "patched step": lambda: patched("step", VecNormalize(cartpoles())),
    "patched inner environment": lambda: VecNormalize(patched("step_wait", cartpoles())),
    "patched statistics": lambda: with_patched_statistics(VecNormalize(cartpoles())),
    "Tuple": lambda: DummyVecEnv([reporting(spaces.Tuple([FLOATS, FLOATS]))]),
    "normalised Dict with patched statistics": lambda: with_patched_key(VecNormalize(dicts())),
    "normalised Dict with other keys": lambda: with_another_key(VecNormalize(dicts())),
    "normalised integers": lambda: VecNormalize(DummyVecEnv([reporting(spaces.Box(0, 9, (2,), np.int64))])),
    "twice normalised": lambda: VecNormalize(VecNormalize(cartpoles())),
}


@pytest.mark.parametrize("name", list(UNKNOWN))
def test_an_environment_that_is_not_known_exactly_steps_itself(name: str) -> None:
    env = UNKNOWN[name]()
    assert stepper(env) == env.step


def test_a_patched_class_of_sb3_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    env = cartpoles()
    monkeypatch.setattr(DummyVecEnv, "step_wait", lambda self: None)
    assert stepper(env) == env.step


def lean(env: str, n_envs: int, normalize: bool) -> VecEnv:
    vec_env: VecEnv = make_vec_env(env, n_envs=n_envs, seed=0, vec_env_cls=LeanVecEnv)
    return LeanVecNormalize(vec_env) if normalize else vec_env


def original(env: str, n_envs: int, normalize: bool) -> VecEnv:
    vec_env: VecEnv = make_vec_env(env, n_envs=n_envs, seed=0)
    return VecNormalize(vec_env) if normalize else vec_env


@pytest.mark.parametrize(
    ("cls", "env", "n_envs", "settings"),
    [
        (PPO, "Pendulum-v1", 3, {"n_steps": 16, "batch_size": 16}),
        (A2C, "CartPole-v1", 2, {}),
        (DQN, "CartPole-v1", 1, {}),
    ],
    ids=["PPO", "A2C", "DQN"],
)
@pytest.mark.parametrize("normalize", [False, True], ids=["", "normalised"])
def test_algorithms_of_sb3_train_in_lean_environments_to_the_same_bits(
    cls: type[Any], env: str, n_envs: int, settings: dict[str, Any], normalize: bool
) -> None:
    models = [
        cls("MlpPolicy", make(env, n_envs, normalize), seed=0, device="cpu", **settings).learn(200)
        for make in (lean, original)
    ]
    assert_same_weights(*models)


@pytest.mark.parametrize("normalize", [False, True], ids=["", "normalised"])
def test_lean_environments_return_and_leave_what_sb3s_do(normalize: bool) -> None:
    ours, theirs = (make("Acrobot-v1", 3, normalize) for make in (lean, original))
    assert_same_course(ours, theirs, ours.step)
    assert stepper(ours) != ours.step


@pytest.mark.parametrize("space", [MIXED, spaces.Tuple([FLOATS, spaces.Discrete(3)])], ids=["Dict", "Tuple"])
def test_lean_environments_with_several_arrays_are_sb3s(space: spaces.Space[Any]) -> None:
    ours: VecEnv = LeanVecEnv([reporting(copy.deepcopy(space))] * 2)
    theirs: VecEnv = DummyVecEnv([reporting(copy.deepcopy(space))] * 2)
    if isinstance(space, spaces.Dict):  # VecNormalize knows no tuples
        ours, theirs = (
            LeanVecNormalize(ours, norm_obs_keys=["vector"]),
            VecNormalize(theirs, norm_obs_keys=["vector"]),
        )
    results = []
    for env in (ours, theirs):
        _, actions = seeded(env)
        Reporting.shared.clear()
        results.append([env.reset(), *(without_times(env.step(action)) for action in actions)])
    np.testing.assert_equal(*results)


def test_an_array_under_two_keys_of_an_info_is_one_array_in_the_copy_too() -> None:
    class Shared(Reporting):
        def step(self, action: Any) -> Any:
            *rest, _ = super().step(action)
            return (*rest, {"nested": {"position": self.position, "again": self.position, "other": np.zeros(2)}})

    for env in (DummyVecEnv([lambda: Shared(FLOATS)]), LeanVecEnv([lambda: Shared(FLOATS)])):
        env.reset()
        nested = env.step(np.zeros((1, 2), np.float32))[3][0]["nested"]
        assert nested["position"] is nested["again"]
        assert nested["position"] is not env.envs[0].position  # type: ignore[attr-defined]
        assert nested["other"] is not env.buf_infos[0]["nested"]["other"]


def test_saved_statistics_of_a_lean_environment_can_be_loaded(tmp_path: Any) -> None:
    env = lean("CartPole-v1", 2, normalize=True)
    assert isinstance(env, LeanVecNormalize)
    env.reset()
    env.step(np.array([0, 1]))
    env.save(str(tmp_path / "statistics.pkl"))
    loaded = VecNormalize.load(str(tmp_path / "statistics.pkl"), cartpoles())
    assert type(loaded) is LeanVecNormalize
    np.testing.assert_equal(vars(loaded.obs_rms), vars(env.obs_rms))


@pytest.mark.parametrize("make", [lean, original])
def test_training_in_lean_steps_resumes_exactly(make: Callable[[str, int, bool], VecEnv], tmp_path: Any) -> None:
    whole = make_model(LeanPPO, make("Pendulum-v1", 2, True)).learn(128)
    part = make_model(LeanPPO, make("Pendulum-v1", 2, True))
    part.learn(128, callback=[ExactCheckpoint(tmp_path / "checkpoint.zip"), StopAfter()])  # in the second rollout
    resumed = LeanPPO.resume(tmp_path / "checkpoint.zip").learn(128)
    assert_same_weights(resumed, whole)


def _image(*shape: int) -> MakeEnv:
    return reporting(spaces.Box(0, 255, shape, np.uint8))


IMAGE_STACKS: dict[str, Callable[[], VecEnv]] = {
    "transposed": lambda: VecTransposeImage(DummyVecEnv([_image(36, 37, 3)] * 3)),
    "four frames": lambda: VecTransposeImage(VecFrameStack(DummyVecEnv([_image(36, 37, 1)] * 3), 4)),
    "two frames of four channels": lambda: VecFrameStack(DummyVecEnv([_image(36, 37, 4)] * 2), 2),
    "three frames": lambda: VecTransposeImage(VecFrameStack(DummyVecEnv([_image(36, 37, 3)] * 2), 3)),
    "one frame": lambda: VecFrameStack(DummyVecEnv([_image(36, 37, 4)] * 2), 1),
    "channels first": lambda: VecFrameStack(DummyVecEnv([_image(1, 36, 37)] * 2), 4),
    "vectors": lambda: VecFrameStack(DummyVecEnv([reporting(FLOATS)] * 2), 3),
    "stacked twice": lambda: VecFrameStack(VecFrameStack(DummyVecEnv([_image(36, 37, 1)] * 2), 2), 2),
    "skipped": lambda: VecTransposeImage(DummyVecEnv([_image(3, 36, 37)] * 2), skip=True),
    "lean": lambda: VecTransposeImage(VecFrameStack(LeanVecEnv([_image(36, 37, 1)] * 2), 4)),
}


@pytest.mark.parametrize("stack", list(IMAGE_STACKS))
def test_a_stepper_stacks_and_transposes_as_sb3_does(stack: str) -> None:
    ours, theirs = IMAGE_STACKS[stack](), IMAGE_STACKS[stack]()
    step = stepper(ours)
    assert step != ours.step
    assert_same_course(ours, theirs, step)


def test_a_stack_that_was_returned_stays_as_it_is() -> None:
    env, actions = seeded(IMAGE_STACKS["four frames"]())
    env.reset()
    step = stepper(env)
    kept = [step(action)[0] for action in actions]
    copies = [array.copy() for array in kept]
    for action in actions:
        step(action)
    np.testing.assert_equal(kept, copies)


class OwnFrameStack(VecFrameStack):
    """VecFrameStack that may do something else."""


def _with_own_update() -> VecEnv:
    env: Any = IMAGE_STACKS["four frames"]()
    env.venv.stacked_obs.update = lambda *results: results[::2]
    return env  # type: ignore[no-any-return]


UNKNOWN_STACKS: dict[str, Callable[[], VecEnv]] = {
    "subclass": lambda: VecTransposeImage(OwnFrameStack(DummyVecEnv([_image(36, 37, 1)]), 4)),
    "own update": _with_own_update,
    "Dict": lambda: VecFrameStack(DummyVecEnv([reporting(spaces.Dict({"a": FLOATS}))]), 2),
    "Dict of images": lambda: VecTransposeImage(
        DummyVecEnv([reporting(spaces.Dict({"image": spaces.Box(0, 255, (36, 37, 1), np.uint8)}))])
    ),
}


@pytest.mark.parametrize("stack", list(UNKNOWN_STACKS))
def test_a_stack_that_is_not_known_exactly_steps_by_itself(stack: str) -> None:
    env = UNKNOWN_STACKS[stack]()
    assert stepper(env) == env.step
