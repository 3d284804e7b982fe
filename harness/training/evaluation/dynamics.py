"""Equations of motion of three environments for N instances at once, with the bits of gymnasium's own `step`.

Gymnasium computes with NumPy scalars, one operation at a time; each costs several times as much as the same operation
on a Python float, with the same bits. Bits could differ in three places:

    sin, cos       NumPy's, not those of `math`: its vectorised versions round differently
    x**2           a call of pow, which is not x * x in about one case of a thousand; np.square is x * x
    float32        the torque of Pendulum stays float32 until it is added to a float64

`dynamics_of` compares each class with gymnasium's environment before its first use in a process, so that environments
of another version of gymnasium, with other equations, are stepped by their own code.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from numpy.typing import NDArray

from harness.training.evaluation.simulations import Env, PlainSimulation, Simulation, inside_of_wrappers

__all__ = ["CartPoles", "Dynamics", "InvertedDoublePendulums", "Pendulums", "dynamics_of"]

N_CHECKED_STEPS = 120
"""Steps over which a class is compared with gymnasium's environment before it is used."""

N_CHECKED_ENVS = 3


class Dynamics(Simulation):
    """Environments of one known class, whose equations of motion are written out."""

    may_pause = True
    env_class: ClassVar[str]
    """Module and name of the class of environments."""

    def __init__(self, envs: Sequence[Env], observations: NDArray[Any]) -> None:
        super().__init__(envs, observations)
        self.insides: list[Any] = [env.unwrapped for env in envs]
        self._limits = [inside_of_wrappers(env)[1] for env in envs]
        self._lengths = [0 for _ in envs]
        for i in range(len(envs)):
            self.load(i)

    @classmethod
    def knows(cls, inside: Any) -> bool:
        """Return True if the environment's options are among those that are written out."""
        return bool(inside.render_mode != "human")

    @abstractmethod
    def load(self, i: int) -> None:
        """Take over the state of an environment after its reset."""

    @abstractmethod
    def advance(self, actions: NDArray[Any], active: Sequence[int]) -> tuple[list[float], list[bool]]:
        """Advance the environments with these indices by one step; return rewards, and True where they terminated."""

    def step(self, actions: NDArray[Any], active: Sequence[int]) -> tuple[list[float], list[bool]]:
        """See `Simulation.step`."""
        rewards, ended = self.advance(actions, active)
        for k, i in enumerate(active):
            self._lengths[i] += 1
            if ended[k] or self._lengths[i] >= self._limits[i]:
                ended[k] = True
                self.observations[i], _ = self.envs[i].reset()
                self._lengths[i] = 0
                self.load(i)
        return rewards, ended


class CartPoles(Dynamics):
    """A pole balanced on a cart; `gymnasium.envs.classic_control.cartpole`."""

    env_class = "gymnasium.envs.classic_control.cartpole.CartPoleEnv"

    @classmethod
    def knows(cls, inside: Any) -> bool:
        """Return True with Euler's method, and a reward of 1 for every step."""
        return super().knows(inside) and inside.kinematics_integrator == "euler" and not inside._sutton_barto_reward

    def __init__(self, envs: Sequence[Env], observations: NDArray[Any]) -> None:
        self._states: list[tuple[float, ...]] = [()] * len(envs)
        self._angles = np.zeros(len(envs))
        super().__init__(envs, observations)

    def load(self, i: int) -> None:
        """Take over position and velocity after a reset."""
        self._states[i] = tuple(self.insides[i].state.tolist())
        self._angles[i] = self._states[i][2]

    def advance(self, actions: NDArray[Any], active: Sequence[int]) -> tuple[list[float], list[bool]]:
        """Advance by one step of Euler's method."""
        cosines, sines, chosen = np.cos(self._angles).tolist(), np.sin(self._angles).tolist(), actions.tolist()
        env = self.insides[0]  # equal options in all of them
        total_mass, tau, x_limit, theta_limit = env.total_mass, env.tau, env.x_threshold, env.theta_threshold_radians
        ended = []
        for i in active:
            x, x_dot, theta, theta_dot = self._states[i]
            cos, sin = cosines[i], sines[i]
            force = env.force_mag if chosen[i] == 1 else -env.force_mag
            temp = (force + env.polemass_length * (theta_dot * theta_dot) * sin) / total_mass
            theta_acc = (env.gravity * sin - cos * temp) / (
                env.length * (4.0 / 3.0 - env.masspole * (cos * cos) / total_mass)
            )
            x_acc = temp - env.polemass_length * theta_acc * cos / total_mass
            x = x + tau * x_dot
            x_dot = x_dot + tau * x_acc
            theta = theta + tau * theta_dot
            theta_dot = theta_dot + tau * theta_acc
            self._states[i] = x, x_dot, theta, theta_dot
            ended.append(x < -x_limit or x > x_limit or theta < -theta_limit or theta > theta_limit)
        states = np.array(self._states)
        self._angles[:] = states[:, 2]
        self.observations[:] = states
        return [1.0] * len(ended), ended


class Pendulums(Dynamics):
    """A pendulum swung up by a torque; `gymnasium.envs.classic_control.pendulum`."""

    env_class = "gymnasium.envs.classic_control.pendulum.PendulumEnv"

    def __init__(self, envs: Sequence[Env], observations: NDArray[Any]) -> None:
        self._states = np.zeros((len(envs), 2))  # angle and angular velocity
        super().__init__(envs, observations)

    def load(self, i: int) -> None:
        """Take over position and velocity after a reset."""
        self._states[i] = self.insides[i].state

    def advance(self, actions: NDArray[Any], active: Sequence[int]) -> tuple[list[float], list[bool]]:
        """Advance by one step; a pendulum never terminates."""
        states, sines = self._states.tolist(), np.sin(self._states[:, 0]).tolist()
        env: PendulumEnv = self.insides[0]  # equal options in all of them
        gravity, mass, length, dt, max_speed = env.g, env.m, env.l, env.dt, float(env.max_speed)
        torques = np.clip(actions[:, 0], -env.max_torque, env.max_torque)
        pushes = (3.0 / (mass * length**2) * torques).tolist()
        # Powers of scalars: of an array, NumPy would compute torque * torque.
        efforts = (0.001 * np.array([torque**2 for torque in torques])).tolist()
        rewards = []
        for i in active:
            theta, theta_dot = states[i]
            angle = ((theta + math.pi) % (2 * math.pi)) - math.pi
            rewards.append(-(angle**2 + 0.1 * theta_dot**2 + efforts[i]))
            theta_dot = theta_dot + (3 * gravity / (2 * length) * sines[i] + pushes[i]) * dt
            theta_dot = min(max(theta_dot, -max_speed), max_speed)
            states[i] = [theta + theta_dot * dt, theta_dot]
        self._states = np.array(states)
        angles = self._states[:, 0]
        self.observations[:, 0] = np.cos(angles)
        self.observations[:, 1] = np.sin(angles)
        self.observations[:, 2] = self._states[:, 1]
        return rewards, [False] * len(rewards)


class InvertedDoublePendulums(Dynamics):
    """Two joints balanced on a cart; `gymnasium.envs.mujoco.inverted_double_pendulum_v5`. MuJoCo moves them."""

    env_class = "gymnasium.envs.mujoco.inverted_double_pendulum_v5.InvertedDoublePendulumEnv"

    def __init__(self, envs: Sequence[Env], observations: NDArray[Any]) -> None:
        import mujoco  # type: ignore[import-untyped]

        self._mj_step, self._mj_rne = mujoco.mj_step, mujoco.mj_rnePostConstraint
        self._positions = np.zeros((len(envs), 3))
        self._velocities = np.zeros((len(envs), 3))
        self._forces = np.zeros(len(envs))
        super().__init__(envs, observations)
        # Views of MuJoCo's memory, which stays where it is as long as the environment exists.
        self._views = [
            (env.model, data, data.ctrl, data.qpos, data.qvel, data.qfrc_constraint, data.site_xpos[0])
            for env in self.insides
            for data in (env.data,)
        ]

    def load(self, i: int) -> None:
        """Do nothing: the state is in MuJoCo's memory."""

    def advance(self, actions: NDArray[Any], active: Sequence[int]) -> tuple[list[float], list[bool]]:
        """Advance by frame_skip steps of MuJoCo."""
        env = self.insides[0]  # equal options in all of them
        frame_skip, healthy_reward = env.frame_skip, env._healthy_reward
        rewards, ended = [], []
        for i in active:
            model, data, control, position, velocity, force, tip = self._views[i]
            control[:] = actions[i]
            self._mj_step(model, data, nstep=frame_skip)
            self._mj_rne(model, data)
            self._positions[i] = position
            self._velocities[i] = velocity
            self._forces[i] = force[0]
            x, _, y = tip.tolist()
            _, v1, v2 = velocity.tolist()
            terminated = y <= 1
            distance_penalty = 0.01 * x**2 + (y - 2) ** 2
            velocity_penalty = 1e-3 * v1**2 + 5e-3 * v2**2
            rewards.append(healthy_reward * int(not terminated) - distance_penalty - velocity_penalty)
            ended.append(terminated)
        self._observe()
        return rewards, ended

    def _observe(self) -> None:
        """Write the observations [N, 9]: position of the cart, sines and cosines of angles, velocities, one force."""
        angles = self._positions[:, 1:]
        self.observations[:, 0] = self._positions[:, 0]
        self.observations[:, 1:3] = np.sin(angles)
        self.observations[:, 3:5] = np.cos(angles)
        self.observations[:, 5:8] = np.clip(self._velocities, -10, 10)
        self.observations[:, 8] = np.clip(self._forces, -10, 10)


_KNOWN = {cls.env_class: cls for cls in (CartPoles, Pendulums, InvertedDoublePendulums)}
_verdicts: dict[str, bool] = {}
"""Result of the comparison with gymnasium's own code, for each id and arguments of an environment in this process."""


def dynamics_of(envs: Sequence[Env]) -> type[Dynamics] | None:
    """Return the class that steps these environments with the bits of their own code, or None if there is none."""
    insides = [inside_of_wrappers(env)[0] for env in envs]
    names = {f"{type(inside).__module__}.{type(inside).__qualname__}" for inside in insides}
    dynamics = _KNOWN.get(names.pop()) if len(names) == 1 else None
    spec = insides[0].spec
    if dynamics is None or spec is None or not all(dynamics.knows(inside) for inside in insides):
        return None
    if any("step" in vars(inside) or "reset" in vars(inside) for inside in insides):
        return None  # somebody watches this object
    key = spec.to_json()
    if key not in _verdicts:
        _verdicts[key] = _agrees(dynamics, spec)
    return dynamics if _verdicts[key] else None


def _agrees(dynamics: type[Dynamics], spec: gym.envs.registration.EnvSpec) -> bool:
    """Return True if the class repeats some steps of gymnasium's own environments bit by bit."""
    sides = []
    for simulation in (PlainSimulation, dynamics):
        envs = [gym.make(spec, render_mode=None) for _ in range(N_CHECKED_ENVS)]
        space = envs[0].observation_space
        observations = np.stack([env.reset(seed=seed)[0] for seed, env in enumerate(envs)]).astype(space.dtype)
        actions = np.random.default_rng(0)
        rows = []
        made = simulation(envs, observations)
        for _ in range(N_CHECKED_STEPS):
            rewards, ended = made.step(_random_actions(envs[0].action_space, actions), range(N_CHECKED_ENVS))
            rows.append((made.observations.tobytes(), [reward.hex() for reward in rewards], ended))
        for env in envs:
            env.close()
        sides.append(rows)
    return sides[0] == sides[1]


def _random_actions(space: gym.Space[Any], generator: np.random.Generator) -> NDArray[Any]:
    if isinstance(space, gym.spaces.Discrete):
        return generator.integers(space.n, size=N_CHECKED_ENVS)
    assert isinstance(space, gym.spaces.Box)
    noise = generator.normal(size=(N_CHECKED_ENVS, math.prod(space.shape)))
    return noise.reshape(N_CHECKED_ENVS, *space.shape).astype(space.dtype)
