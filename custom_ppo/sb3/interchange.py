"""Exchange of files and models with Stable-Baselines3: each of the two loads what the other saved.

A file of CustomPPO names SB3's policy class instead of our equal one, and no recipe if the recipe is SB3's: it is then
a file of SB3's PPO, and needs nothing of custom_ppo. With another recipe SB3 refuses the file, as it would continue
with another algorithm than the one that trained the model.
"""

from __future__ import annotations

import io
import json
import pathlib
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self, TypeVar

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    BasePolicy,
    MultiInputActorCriticPolicy,
)
from stable_baselines3.common.save_util import json_to_data, open_path, save_to_zip_file
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import check_for_correct_spaces

from custom_ppo.config import InvalidConfigError
from custom_ppo.recipe import SB3_PPO, Recipe
from custom_ppo.sb3.policy import CnnPolicy, MlpPolicy, MultiInputPolicy
from custom_ppo.sb3.randomness import preserved_randomness

__all__ = ["Interchangeable", "ModelFileError", "name_of", "read_member"]

File = str | pathlib.Path | io.BufferedIOBase

_POLICIES: Mapping[Any, Any] = {
    MlpPolicy: ActorCriticPolicy,
    CnnPolicy: ActorCriticCnnPolicy,
    MultiInputPolicy: MultiInputActorCriticPolicy,
}
"""Class of SB3 that computes the same bits, for each of our policy classes."""

_OBJECTS = ("policy_class", "observation_space", "action_space")


class ModelFileError(ValueError):
    """A file holds no model, is damaged, or belongs to another algorithm or environment than expected."""


@dataclass(frozen=True)
class _OnlyWithRecipe:
    """Placeholder of the policy class in a file whose recipe SB3 does not have; calling it raises the reason."""

    policy_class: type[BasePolicy]
    parts: tuple[str, ...]

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise InvalidConfigError(
            f"this model was trained by a recipe with its own {', '.join(self.parts)}, which SB3 does not have: "
            "load it with the class of custom_ppo that saved it"
        )


class Interchangeable(BaseAlgorithm):
    """Algorithm that exchanges files and models with SB3's `sb3_class`."""

    recipe: Recipe
    sb3_class: ClassVar[type[OnPolicyAlgorithm]] = PPO
    file_keys: ClassVar[Sequence[str]] = ("n_steps", "gae_lambda", "batch_size", "n_epochs", "clip_range")
    """Attributes that identify the algorithm of a file, as files do not name it."""
    foreign_keys: ClassVar[Sequence[str]] = ()
    """Attributes that a file of this algorithm has only if custom_ppo wrote it."""

    def save(self, path: File, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None) -> None:
        """Write the model to a zip file that `load` reads, and SB3's `load` too if the recipe is SB3's.

        exclude, include: names of attributes to be left out, or not to be left out.
        """
        left_out = {*self._excluded_save_params(), *(exclude or ())} - set(include or ())
        data = {name: value for name, value in vars(self).items() if name not in left_out and name != "policy"}
        save_to_zip_file(path, _attributes_to_save(data), params=self.get_parameters(), pytorch_variables={})

    @classmethod
    def load(
        cls,
        path: File,
        env: GymEnv | None = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Return the model of a file that this class or SB3's saved; the arguments are those of SB3's `load`.

        SB3's policies become ours, which compute the same bits and can be fused.
        Raises ModelFileError if the file holds no such model or env has other spaces, FileNotFoundError without file.
        """
        data = cls._inspect(path, custom_objects or {})
        if env is not None:
            env = cls._wrap_env(env, data["verbose"])
            try:
                check_for_correct_spaces(env, data["observation_space"], data["action_space"])
            except ValueError as error:
                reason = " ".join(str(error).split())  # long arrays are printed over several lines
                raise ModelFileError(
                    f"{name_of(path)}: trained in other spaces than those of `env`: {reason}; "
                    "load it with an environment like that of its training"
                ) from error
        # By custom_objects, with which SB3's load replaces what is in the file.
        objects = {**(custom_objects or {}), "policy_class": _our_policy_class(data["policy_class"])}
        return super().load(path, env, device, objects, print_system_info, force_reset, **kwargs)

    @classmethod
    def _inspect(cls, path: File, custom_objects: dict[str, Any]) -> dict[str, Any]:
        """Return spaces, policy class and verbosity of a file; raises ModelFileError unless it is of this algorithm."""
        content = read_member(path, "data", "a model written by save()")
        try:
            data = json.loads(content)
        except ValueError as error:  # not text, or not JSON
            raise ModelFileError(f"{name_of(path)}: its 'data' is not that of a model: {error}") from error
        objects = _read_objects(path, data, custom_objects)
        policy = objects.get("policy_class")
        missing = [name for name in (*cls.file_keys, *_OBJECTS) if name not in data]
        extra = [] if "recipe" in data else [name for name in cls.foreign_keys if name in data]
        # RecurrentPPO and MaskablePPO have everything that PPO has, and more in their policies.
        contributed = getattr(policy, "__module__", "").startswith("sb3_contrib.")
        if missing or extra or contributed:
            signs = [f"it has no {', '.join(missing)}"] if missing else []
            signs += [f"it has {', '.join(extra)}"] if extra else []
            signs += [f"its policy is {policy.__module__}.{policy.__qualname__}"] if isinstance(policy, type) else []
            raise ModelFileError(
                f"{name_of(path)}: not a model of {cls.sb3_class.__name__}: {'; '.join(signs)}; "
                "load it with the class that saved it"
            )
        return {"verbose": data.get("verbose", 0), **objects}

    def to_sb3(self) -> PPO:
        """Return a copy of this model as SB3's PPO: weights, optimiser, hyperparameters, counters.

        The environment is shared: to train both, give one of them another with `set_env`. The global generators do not
        move. Raises InvalidConfigError, which names the part, if the recipe is not SB3's.
        """
        parts = self.recipe.differs_in(SB3_PPO)
        if parts:
            raise InvalidConfigError(
                f"the recipe {self.recipe.name!r} has its own {', '.join(parts)}, which SB3's PPO cannot express"
            )
        return _converted(self, PPO)

    @classmethod
    def from_sb3(cls, model: OnPolicyAlgorithm) -> Self:
        """Return a copy of a model of SB3 as one of this class; the counterpart of `to_sb3`.

        Raises InvalidConfigError if the model is of another class, or has methods or a rollout buffer of its own.
        """
        _check_is_plain(model, cls)
        return _converted(model, cls)


Model = TypeVar("Model", bound=BaseAlgorithm)


def _converted(source: BaseAlgorithm, target: type[Model]) -> Model:
    file = io.BytesIO()
    source.save(file)
    # Loaded without its environment, which load() would seed anew; it is set afterwards.
    with preserved_randomness():
        model = target.load(file, device=source.device)
    # Attributes and not set_env, which forgets the last observation, so that learn() would reset the environments.
    model.env = source.env
    model._vec_normalize_env = source._vec_normalize_env
    return model


def _check_is_plain(model: BaseAlgorithm, cls: type[Interchangeable]) -> None:
    expected = cls.sb3_class
    if not isinstance(model, expected):
        raise InvalidConfigError(
            f"{cls.__name__}.from_sb3() takes a model of SB3's {expected.__name__}, got {type(model).__name__}"
        )
    methods = ("learn", "collect_rollouts", "train")
    own = [f"{name}()" for name in methods if getattr(type(model), name) is not getattr(expected, name)]
    if model.rollout_buffer_class not in (None, RolloutBuffer, DictRolloutBuffer) or model.rollout_buffer_kwargs:
        own.append("rollout_buffer_class")
    if own:
        raise InvalidConfigError(f"{type(model).__name__} has its own {', '.join(own)}, which would be lost")


def _attributes_to_save(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of one of our models as they are saved."""
    parts = data.get("recipe", SB3_PPO).differs_in(SB3_PPO)
    if parts:
        return {**data, "policy_class": _OnlyWithRecipe(data["policy_class"], parts)}
    policy_class = _POLICIES.get(data["policy_class"], data["policy_class"])
    return {**{name: value for name, value in data.items() if name != "recipe"}, "policy_class": policy_class}


def _our_policy_class(policy_class: Any) -> Any:
    """Return our policy class for the one in a file."""
    if isinstance(policy_class, _OnlyWithRecipe):
        return policy_class.policy_class
    # Only these very classes: a subclass may have methods of its own, which would be lost.
    return next((ours for ours, theirs in _POLICIES.items() if theirs is policy_class), policy_class)


def _read_objects(path: File, data: Mapping[str, Any], custom_objects: dict[str, Any]) -> dict[str, Any]:
    """Return the objects of a file that are needed before loading it; raises ModelFileError if one is unreadable."""
    # The recipe too: without it a model would continue with the default one, another algorithm.
    known = {name: data[name] for name in (*_OBJECTS, "recipe") if name in data}
    try:
        # SB3 warns about an object that it cannot read, and leaves it out.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            objects = json_to_data(json.dumps(known), custom_objects)
        problem = " ".join(str(caught[-1].message).split()) if len(objects) < len(known) else ""
    except ImportError as error:
        problem = str(error)
    if problem:
        raise ModelFileError(
            f"{name_of(path)}: needs code that is not here: {problem}; "
            "install it, or pass a substitute in custom_objects"
        )
    return objects


def read_member(path: File, member: str, expected: str) -> bytes:
    """Return one member of the zip file of a model; raises ModelFileError if the file is damaged or has no such member.

    expected: description of a file with this member, for the message.
    """
    file = open_path(path, "r", suffix="zip")
    try:
        with zipfile.ZipFile(file) as archive:
            # Weights are zip files inside the zip file: without the end of the outer one, zipfile opens an inner one.
            if min((info.header_offset for info in archive.infolist()), default=0) > 0:
                raise zipfile.BadZipFile("File ends too early")
            broken = archive.testzip()
            if broken is not None:
                raise zipfile.BadZipFile(f"{broken!r} is damaged")
            if member not in archive.namelist():
                raise ModelFileError(f"{name_of(path)}: a zip file without {member!r}; expected {expected}")
            return archive.read(member)
    except zipfile.BadZipFile as error:
        raise ModelFileError(
            f"{name_of(path)}: not a model, or only a part of one: {error}; save it again, or take an older copy"
        ) from error
    finally:
        if file is not path:
            file.close()


def name_of(path: File) -> str:
    """Return the name of a file for messages."""
    return str(path) if isinstance(path, str | pathlib.Path) else str(getattr(path, "name", type(path).__name__))
