"""Import algorithms by registered name or "package.module:Class"; the names are `config.names.REGISTERED`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.config.names import REGISTERED
from harness.errors import UnknownNameError, did_you_mean

__all__ = ["import_class", "import_module", "import_target", "load_algorithm"]


def load_algorithm(name: str, *, methods: Sequence[str] = ("learn", "predict", "save")) -> type[Any]:
    """Return the class for a registered name ("ppo") or "package.module:Class"; raise UnknownNameError.

    The class must train like one of SB3's: `Class(policy, env, seed=..., **hyperparams).learn(steps, callback)`.
    methods: names of the methods that it must have.
    """
    target = REGISTERED.get(name, name)
    if ":" not in target:
        raise UnknownNameError(
            f"algorithm {name!r} is not known{did_you_mean(name, REGISTERED)} "
            f"(registered: {', '.join(REGISTERED)}; or write package.module:Class)"
        )
    algorithm = import_target(target)
    missing = [method for method in methods if not callable(getattr(algorithm, method, None))]
    if not isinstance(algorithm, type) or missing:
        raise UnknownNameError(
            f"{target} cannot be trained like an algorithm of stable_baselines3: "
            + (f"it has no method {', '.join(missing)}" if missing else "it is not a class")
        )
    return algorithm


def import_target(target: str) -> Any:
    """Import the object at "package.module:attribute"; raise UnknownNameError that names the missing part."""
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise UnknownNameError(f"{target}: expected package.module:Class, such as custom_ppo:CustomPPO")
    module = import_module(module_name, wanted=target)
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise UnknownNameError(
            f"module {module_name} has no {attribute}{did_you_mean(attribute, vars(module))}"
        ) from error


def import_class(name: str, kind: type[Any], noun: str) -> type[Any]:
    """Import a class by its dotted name; raise UnknownNameError unless it is a subclass of `kind`.

    A hyperparameter file must not be able to call any other function of a package that it may name.
    noun: word for the class, "wrapper", for messages.
    """
    found = import_target(":".join(name.rsplit(".", 1)))
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UnknownNameError(f"{name} is not a {noun}: expected a subclass of {kind.__module__}.{kind.__name__}")
    return found


def import_module(module_name: str, *, wanted: str) -> ModuleType:
    """Import an installed module or one in the working directory; raise UnknownNameError.

    wanted: the name that the user wrote, "package.module:Class", for messages.
    """
    if "/" in module_name or os.sep in module_name:
        file = Path(module_name)
        raise UnknownNameError(
            f"{wanted}: a module has no folders; write {wanted.replace(module_name, file.stem, 1)} "
            f"and run from the folder {file.parent.resolve()}"
        )
    # A console script does not have the working directory on its path, where users keep their own modules.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise UnknownNameError(
                f"{module_name} cannot be imported: it needs {error.name}, which is not installed"
            ) from error
        if module_name.endswith(".py"):
            meant = wanted.replace(module_name, module_name.removesuffix(".py"), 1)
            raise UnknownNameError(f"{wanted}: write a module without .py, such as {meant}") from error
        raise UnknownNameError(
            f"{wanted}: there is no module {error.name}; run from the folder that contains it, or install it"
        ) from error
    except (Exception, SystemExit) as error:
        raise UnknownNameError(f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
