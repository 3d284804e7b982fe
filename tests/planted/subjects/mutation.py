"""Subclasses of SB3's PPO and A2C in which fragments of SB3's source are replaced.

The source is read from the installed SB3 when the class is made: all other code is SB3's, and a fragment that a new
version lacks raises an error. SB3's own classes are not changed.
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
"""Name -> class whose methods can be edited."""

Method = tuple[str, str]
"""Names of a class and of one of its methods, such as ("PPO", "train")."""
MethodFactory = Callable[[type[Any]], Any]
"""Function from the class that a method's super() starts from, to the method."""


class StaleFragmentError(AssertionError):
    """Raised if the source does not contain the fragment exactly once."""


@dataclass(frozen=True)
class Edit:
    """A fragment of the dedented source of a method, and its replacement."""

    target: str
    """Class and method, such as "PPO.train"."""
    old: str
    new: str

    @property
    def method(self) -> Method:
        """Names of the class and of the method."""
        owner, _, name = self.target.partition(".")
        return owner, name


@dataclass(frozen=True)
class Mutant(PlantedBug):
    """A bug in SB3's source."""

    target: str
    old: str
    new: str
    stage: str
    """First quantity (see harness/crosscheck/quantities.py) that must differ from SB3's.

    A number that is still computed counts as right, even if it is not used: 0.5 * mse_loss(...) computes the right
    value_loss, and a wrong loss. So does a number of opposite sign.
    """
    env: str = "TightBounds"
    """Environment of the stress profile in which the bug makes a difference."""
    note: str = ""
    """Conditions under which the bug makes a difference, or another remark."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the stress profile's hyperparameters without which the bug makes no difference."""
    also: tuple[Edit, ...] = ()
    """Further edits, where one fragment is not enough."""
    rounding: bool = False
    """True if the bug changes no more than another order of the same operations does."""

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits of the bug."""
        return (Edit(self.target, self.old, self.new), *self.also)

    @property
    def algorithm(self) -> str:
        """Class that the bug is planted in: "PPO" or "A2C"."""
        return "A2C" if any(edit.method[0] == "A2C" for edit in self.edits) else "PPO"


def replace_once(source: str, old: str, new: str, where: str) -> str:
    """Return the source with the fragment replaced; raise StaleFragmentError unless it occurs exactly once."""
    count = source.count(old)
    if count != 1:
        raise StaleFragmentError(f"{where}: expected the fragment once, found it {count} times: {old!r}")
    return source.replace(old, new)


def compatible(mutants: Sequence[Mutant]) -> bool:
    """Return True if the bugs are in one algorithm and no two edit the same lines, so that all can be planted."""
    if len({mutant.algorithm for mutant in mutants}) > 1:
        return False
    try:
        mutated_sources([edit for mutant in mutants for edit in mutant.edits])
    except StaleFragmentError:
        return False
    return True


def mutated(mutants: Sequence[Mutant], *, name: str, module: str, extra: Sequence[Edit] = ()) -> type[Any]:
    """Return a subclass of PPO or A2C with all these bugs and edits, importable (and picklable) as module:name."""
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
    """Return the source with all fragments (old, new) replaced at once.

    Raise StaleFragmentError if one does not occur exactly once, or if two overlap.
    """
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
    """Return method -> source for every edited method; raise StaleFragmentError as `replaced` does."""
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
    """Return a subclass of `base` whose methods call the edited methods of `base` and of its ancestors.

    An edited method of an ancestor may be overridden further down and reached through super() from there. Then the
    overriding methods are compiled again, unchanged, in classes below the edited one. Add to `used` each edited method.
    """
    lineage = [owner for owner in reversed(base.__mro__) if owner.__name__ in OWNERS]  # the oldest ancestor first
    edited: list[dict[str, Any]] = [{} for _ in lineage]
    overriding: list[list[tuple[str, MethodFactory]]] = [[] for _ in lineage]
    for name in sorted({name for owner, name in sources if OWNERS[owner] in lineage}):
        below_an_edit = False
        for depth, owner in enumerate(lineage):
            method = (owner.__name__, name)
            if name not in vars(owner) or not (below_an_edit or method in sources):
                continue
            make = _factory(owner, name, sources.get(method) or _source(method))
            if below_an_edit:
                # Its super() must start from the new class, to find the edited method above it.
                overriding[depth].append((name, make))
            else:
                edited[depth][name] = make(owner)
            if method in sources:
                used.add(method)
            below_an_edit = True
    grafted = base
    for owner, methods, factories in zip(lineage, edited, overriding, strict=True):
        if methods or factories:
            grafted = type(owner.__name__, (grafted,), methods)
            for name, make in factories:
                setattr(grafted, name, make(grafted))
    return grafted


def _factory(owner: type[Any], name: str, source: str) -> MethodFactory:
    """Return the factory of the method with this source, whose globals are those of the owner's module."""
    # BaseAlgorithm.set_random_seed calls a function of its module that has the same name. Inside make() the method
    # would hide that function, so it gets its own name only afterwards.
    renamed = replace_once(source, f"def {name}(", "def _method(", f"{owner.__name__}.{name}")
    # super() without arguments reads __class__ from the enclosing scope.
    text = f"def make(__class__):\n{textwrap.indent(renamed, '    ')}\n    return _method\n"
    file = f"<{owner.__name__}.{name} mutated {abs(hash(text)):x}>"
    # inspect.getsource and tracebacks read the lines from here, as there is no such file.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    made: dict[str, Any] = {}
    exec(compile(text, file, "exec"), vars(sys.modules[owner.__module__]), made)

    def method(super_starts_from: type[Any]) -> Any:
        found = made["make"](super_starts_from)
        function = getattr(found, "__func__", found)  # of a staticmethod
        function.__code__ = function.__code__.replace(co_name=name, co_qualname=f"{owner.__name__}.{name}")
        function.__name__, function.__qualname__ = name, f"{owner.__name__}.{name}"
        return found

    return method


def _policy(sources: Mapping[Method, str], used: set[Method]) -> type[Any]:
    """Return ActorCriticPolicy with edited methods, distributions and feature extractor."""
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
    """Return a module's `__getattr__`, which makes the class named "a" or "a+b" if every part is known.

    A name gives the same class each time, as pickle requires.
    """

    @functools.cache
    def get(name: str) -> type[Any]:
        if set(name.split("+")) <= set(known()):
            return make(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get
