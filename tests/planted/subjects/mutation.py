"""Subclasses of SB3's PPO and A2C in which a fragment of SB3's source is replaced.

The source is that of the SB3 that is installed, taken when the class is made, so the rest of the code is SB3's to the
letter, and a fragment that a new version no longer has is reported. SB3 itself is not changed.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stable_baselines3 import A2C, PPO
from stable_baselines3.common import base_class, buffers, distributions, on_policy_algorithm, policies, torch_layers

from tests.planted.subjects.planted_bug import PlantedBug

__all__ = ["Edit", "Mutant", "StaleFragmentError", "compatible", "importer", "mutated", "replace_once", "replaced"]

ALGORITHMS = {"PPO": PPO, "A2C": A2C}
OWNERS: Mapping[str, type[Any]] = {
    owner.__name__: owner
    for owner in (
        *ALGORITHMS.values(),
        on_policy_algorithm.OnPolicyAlgorithm,
        base_class.BaseAlgorithm,
        buffers.RolloutBuffer,
        buffers.BaseBuffer,
        policies.ActorCriticPolicy,
        policies.BasePolicy,
        torch_layers.MlpExtractor,
        distributions.DiagGaussianDistribution,
        distributions.CategoricalDistribution,
        distributions.MultiCategoricalDistribution,
        distributions.StateDependentNoiseDistribution,
    )
}
"""Classes of which methods can be mutated."""

Method = tuple[str, str]
"""Names of a class and of one of its methods."""


class StaleFragmentError(AssertionError):
    """The source does not hold the fragment exactly once."""


@dataclass(frozen=True)
class Edit:
    """One fragment of the (dedented) source of a method, and what takes its place."""

    target: str
    """Such as "PPO.train"."""
    old: str
    new: str

    @property
    def method(self) -> Method:
        owner, _, name = self.target.partition(".")
        return owner, name


@dataclass(frozen=True)
class Mutant(PlantedBug):
    """One bug, planted into SB3's source."""

    target: str
    old: str
    new: str
    stage: str
    """The first quantity (see harness/crosscheck/quantities.py) that must differ from SB3's.

    A number that is still computed counts as right, though it is not used: 0.5 * mse_loss(...) has the right
    value_loss, and a wrong loss. So does a number with the other sign.
    """
    world: str = "TightBounds"
    """A world in which it shows with the stress profile."""
    profile_note: str = ""
    """What else it needs to show, or to be known."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the hyperparameters of the stress profile without which it does not show."""
    also: tuple[Edit, ...] = ()
    """More fragments."""
    rounding: bool = False
    """Whether it changes no more than another order of the same operations does."""

    @property
    def edits(self) -> tuple[Edit, ...]:
        return (Edit(self.target, self.old, self.new), *self.also)

    @property
    def algorithm(self) -> str:
        """The class it is planted into: "PPO" or "A2C"."""
        return "A2C" if any(edit.method[0] == "A2C" for edit in self.edits) else "PPO"


def replace_once(source: str, old: str, new: str, where: str) -> str:
    """The source with the fragment replaced; raises StaleFragmentError unless it is there exactly once."""
    count = source.count(old)
    if count != 1:
        raise StaleFragmentError(f"{where}: expected the fragment once, found it {count} times: {old!r}")
    return source.replace(old, new)


def compatible(mutants: Sequence[Mutant]) -> bool:
    """Whether they can be planted together: into one algorithm, and no two into the same lines."""
    if len({mutant.algorithm for mutant in mutants}) > 1:
        return False
    try:
        mutated_sources([edit for mutant in mutants for edit in mutant.edits])
    except StaleFragmentError:
        return False
    return True


def mutated(mutants: Sequence[Mutant], *, name: str, module: str, extra: Sequence[Edit] = ()) -> type[Any]:
    """A subclass of PPO (or A2C) with all these bugs, which can be imported as module:name."""
    algorithm = ALGORITHMS[next((mutant.algorithm for mutant in mutants), "PPO")]
    sources = mutated_sources([*(edit for mutant in mutants for edit in mutant.edits), *extra])
    used: set[Method] = set()
    algorithm_class = _grafted(algorithm, sources, used)
    policy_class = _policy(sources, used)
    buffer_class = _grafted(buffers.RolloutBuffer, sources, used)
    unused = set(sources) - used
    if unused:
        raise StaleFragmentError(f"{name}: {algorithm.__name__} does not use {sorted(unused)}")

    def _setup_model(self: Any) -> None:
        self.rollout_buffer_class = self.rollout_buffer_class or buffer_class
        super(subject, self)._setup_model()

    subject = type(
        name,
        (algorithm_class,),
        {
            "__module__": module,
            "__doc__": f"{algorithm.__name__} with {', '.join(mutant.name for mutant in mutants) or 'no bug'}.",
            "policy_aliases": {**algorithm.policy_aliases, "MlpPolicy": policy_class},
            "_setup_model": _setup_model,
        },
    )
    return subject


def replaced(source: str, fragments: Iterable[tuple[str, str]], where: str) -> str:
    """The source with all fragments (old, new) replaced at once; raises StaleFragmentError, also where two overlap."""
    spans = []
    for old, new in fragments:
        replace_once(source, old, new, where)
        spans.append((source.index(old), source.index(old) + len(old), new))
    spans.sort()
    for (_, end, _), (start, _, _) in itertools.pairwise(spans):
        if start < end:
            raise StaleFragmentError(f"{where}: two changes of the same lines")
    for start, end, new in reversed(spans):
        source = source[:start] + new + source[end:]
    return source


def mutated_sources(edits: Sequence[Edit]) -> dict[Method, str]:
    """Each edited method's whole source; raises StaleFragmentError."""
    by_method: dict[Method, list[Edit]] = {}
    for edit in edits:
        by_method.setdefault(edit.method, []).append(edit)
    return {
        method: replaced(_source(method), [(edit.old, edit.new) for edit in own], own[0].target)
        for method, own in by_method.items()
    }


def _source(method: Method) -> str:
    owner, name = method
    return textwrap.dedent(inspect.getsource(inspect.getattr_static(OWNERS[owner], name)))


def _grafted(base: type[Any], sources: Mapping[Method, str], used: set[Method]) -> type[Any]:
    """A subclass of base in which the mutated methods of base and its ancestors are what its other methods call.

    A method of an ancestor may be overridden further down, and be reached from there through super(): then the
    overriding methods are compiled again, unchanged, above the mutated one.
    """
    lineage = [owner for owner in reversed(base.__mro__) if owner.__name__ in OWNERS]
    bodies: list[dict[str, Any]] = [{} for _ in lineage]
    reached: list[list[Callable[[type[Any]], Any]]] = [[] for _ in lineage]
    names = {name for owner, name in sources if OWNERS[owner] in lineage}
    for name in sorted(names):
        seen = False
        for depth, owner in enumerate(lineage):
            method = (owner.__name__, name)
            if name not in vars(owner) or not (seen or method in sources):
                continue
            source = sources.get(method) or _source(method)
            make = _factory(owner, name, source)
            if seen:
                reached[depth].append(lambda level, name=name, make=make: setattr(level, name, make(level)))
            else:
                bodies[depth][name] = make(owner)
            if method in sources:
                used.add(method)
            seen = True
    grafted = base
    for owner, body, others in zip(lineage, bodies, reached, strict=True):
        if body or others:
            grafted = type(owner.__name__, (grafted,), body)
            for give in others:
                give(grafted)
    return grafted


def _factory(owner: type[Any], name: str, source: str) -> Callable[[type[Any]], Any]:
    """From the class that super() is to start from to the method, with the globals of SB3's module."""
    # Under another name until it is made, as it may call a function of its own name that the module has.
    renamed = replace_once(source, f"def {name}(", "def _method(", f"{owner.__name__}.{name}")
    text = f"def make(__class__):\n{textwrap.indent(renamed, '    ')}\n    return _method\n"
    file = f"<{owner.__name__}.{name} mutated {abs(hash(text)):x}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # for tracebacks
    made: dict[str, Any] = {}
    exec(compile(text, file, "exec"), vars(sys.modules[owner.__module__]), made)

    def method(start: type[Any]) -> Any:
        found = made["make"](start)
        function = getattr(found, "__func__", found)  # of a staticmethod
        function.__code__ = function.__code__.replace(co_name=name, co_qualname=f"{owner.__name__}.{name}")
        function.__name__, function.__qualname__ = name, f"{owner.__name__}.{name}"
        return found

    return method


def _policy(sources: Mapping[Method, str], used: set[Method]) -> type[Any]:
    """ActorCriticPolicy whose own methods, distributions and extractor are mutated."""
    policy = _grafted(policies.ActorCriticPolicy, sources, used)
    parts = {
        part: _grafted(part, sources, used)
        for part in OWNERS.values()
        if issubclass(part, distributions.Distribution | torch_layers.MlpExtractor)
    }

    def exchange(part: Any) -> None:
        part.__class__ = parts.get(type(part), type(part))

    def _build(self: Any, lr_schedule: Any) -> None:
        exchange(self.action_dist)
        super(exchanged, self)._build(lr_schedule)

    def _build_mlp_extractor(self: Any) -> None:
        super(exchanged, self)._build_mlp_extractor()
        exchange(self.mlp_extractor)

    if policy is policies.ActorCriticPolicy and all(part is grafted for part, grafted in parts.items()):
        return policy
    exchanged = type("ActorCriticPolicy", (policy,), {"_build": _build, "_build_mlp_extractor": _build_mlp_extractor})
    return exchanged


def importer(module: str, make: Callable[[str], type[Any]], known: Callable[[], Sequence[str]]) -> Callable[[str], Any]:
    """A module's `__getattr__`: from "a+b" to a class, always the same one, so that it can be pickled."""

    @functools.cache
    def get(name: str) -> type[Any]:
        if set(name.split("+")) <= set(known()):
            return make(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get
