from __future__ import annotations

import dataclasses
import random
import re
import subprocess
import sys
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from custom_ppo.recipe import SB3_PPO, PolicyLoss, Recipe
from harness.catalogue import CATALOGUE, MISTAKES, Deviation, Mistake, deviation
from harness.catalogue.deviant import DeviantA2C, DeviantPPO
from harness.catalogue.equivalents import EQUIVALENT
from harness.catalogue.mistake import ROLES
from harness.crosscheck.quantities import ORDER
from harness.errors import UnknownNameError
from tests.planted.subjects.training import CASES, trained

ROOT = Path(__file__).parents[3]
NAMES = ("gSDE's", "log_std", "lambda", "gamma", "torch", "n_steps", "batch_size")
"""Names that begin a sentence in lower case."""
EVERYTHING = (*CATALOGUE, *EQUIVALENT)


def test_there_are_at_least_sixty_deviations() -> None:
    assert len(CATALOGUE) >= 60


def test_every_mistake_has_an_id_of_its_own() -> None:
    ids = [mistake.id for mistake in (*MISTAKES, *EQUIVALENT)]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("mistake", [one for one in MISTAKES if one not in CATALOGUE], ids=lambda one: one.id)
def test_a_mistake_that_is_no_deviation_says_why_and_is_named_by_a_check(mistake: Mistake) -> None:
    assert re.fullmatch(r"[a-z0-9_-]+", mistake.id)
    assert re.fullmatch(r"\S.*[^\s.]", mistake.description)
    assert re.fullmatch(r"\S.*[^\s.]", mistake.no_deviation)
    assert any(mistake.hints.values())


PARTS_OF_ROLES: dict[str, tuple[str, ...]] = {
    "advantages": ("advantages", "gamma", "gae_lambda"),
    "advantages_with_timeouts": (),
    "policy_loss": ("policy_loss", "clip_range"),
    "own_normalisation": ("policy_loss",),
    "policy_gradient": ("policy_loss",),
    "value_loss": ("value_loss", "clip_values", "clip_range_vf"),
    "normalisation": ("normalize_advantages", "normalize_advantage"),
    "total_loss": ("policy_loss", "value_loss", "entropy_loss", "ent_coef", "vf_coef"),
}
"""Parts of the recipe and settings by which a mistake can change the numbers of a role; for others it has a formula."""


@pytest.mark.parametrize("mistake", [one for one in MISTAKES if one.hints], ids=lambda one: one.id)
def test_a_checked_mistake_has_one_formula_for_each_of_its_roles(mistake: Mistake) -> None:
    recipe = SB3_PPO if mistake.recipe is None else mistake.recipe(SB3_PPO)
    given = {"clip_range": 0.3, "clip_range_vf": 0.3, "ent_coef": 0.3, "vf_coef": 0.3, "normalize_advantage": True}
    changed = {*recipe.differs_in(SB3_PPO), *(mistake.settings(given) if mistake.settings else ())}
    assert set(mistake.hints) <= set(ROLES)
    for role, hint in mistake.hints.items():
        by_recipe = bool(changed & set(PARTS_OF_ROLES.get(role, ())))
        assert by_recipe is not (role in mistake.formulas) or not hint
    assert set(mistake.formulas) <= set(mistake.hints)


def test_a_mistake_that_is_no_deviation_is_refused_with_its_reason() -> None:
    with pytest.raises(
        UnknownNameError, match=r"'gae_forwards' is a mistake for function checks only, not a deviation: .*"
    ):
        deviation("gae_forwards")


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.id)
def test_an_entry_says_what_it_is_in_lines_without_a_full_stop(entry: Deviation) -> None:
    assert re.fullmatch(r"[a-z0-9_-]+", entry.id)
    assert entry.stage in ORDER
    for text in (entry.description, entry.source, entry.remedy):
        assert re.fullmatch(r"\S.*[^\s.]", text)
        assert len(text) <= 110
    assert entry.description[0].isupper() or entry.description.split()[0] in NAMES
    assert entry.shows == entry.shows.strip().rstrip(".")


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.id)
def test_an_entry_does_something_to_algorithms_that_exist(entry: Deviation) -> None:
    assert entry.settings or entry.recipe or entry.patch
    assert entry.algorithms
    assert set(entry.algorithms) <= {"ppo", "a2c"}


PARTS = [
    *(field.name for field in dataclasses.fields(Recipe) if field.name not in ("name", "policy_loss")),
    *(f"policy_loss.{field.name}" for field in dataclasses.fields(PolicyLoss)),
]


def part_of(recipe: Recipe, name: str) -> Any:
    """Return a part of a recipe, or a part of its policy loss."""
    return attrgetter(name)(recipe)


def with_part(recipe: Recipe, name: str, value: Any) -> Recipe:
    outer, _, inner = name.partition(".")
    return recipe.replace(**{outer: getattr(recipe, outer).replace(**{inner: value}) if inner else value})


def holds(found: Any, wanted: Any) -> bool:
    """Return True if `found` refers to `wanted`: by a closure, a default, a partial, or a part of a recipe."""
    inner: list[Any] = []
    if isinstance(found, partial):
        inner = [found.func, *found.args, *found.keywords.values()]
    elif isinstance(found, FunctionType):
        inner = [*(cell.cell_contents for cell in found.__closure__ or ()), *(found.__defaults__ or ())]
    elif isinstance(found, Recipe):
        inner = [part_of(found, part) for part in PARTS]
    elif isinstance(found, PolicyLoss):
        inner = [found.objective, found.reduction, found.limited_by]
    return found is wanted or any(holds(one, wanted) for one in inner)


def touching(part: str) -> list[tuple[str, bool]]:
    """Return the deviations that change a part of the recipe, in order, with True for those that replace it."""
    found = []
    for entry in CATALOGUE:
        original = with_part(SB3_PPO, part, lambda *given, **named: None)
        changed = original if entry.recipe is None else entry.recipe(original)
        if part_of(changed, part) is not part_of(original, part):
            found.append((entry.id, not holds(part_of(changed, part), part_of(original, part))))
    return found


@pytest.mark.parametrize("part", PARTS)
def test_what_replaces_a_part_comes_before_what_changes_it(part: str) -> None:
    replacing = [replaces for _, replaces in touching(part)]
    assert replacing == sorted(replacing, reverse=True), touching(part)


def test_it_is_known_which_replace_a_part() -> None:
    of_advantages = dict(touching("advantages"))
    assert of_advantages["advantages_are_td_errors"]
    assert not of_advantages["final_dones_ignored"]
    assert dict(touching("policy_loss.objective"))["ratio_to_itself"] is False


def test_two_changes_of_one_recursion_go_together() -> None:
    def estimate(*ids: str) -> Any:
        recipe = SB3_PPO
        for name in ids:
            change = deviation(name).recipe
            assert change is not None
            recipe = change(recipe)
        arrays = [np.float32([[3], [5]]), np.float32([[1], [2]]), np.float32([[0], [0]])]
        return recipe.advantages(
            *arrays, np.float32([4]), np.array([False]), gamma=np.float32(0.5), gae_lambda=np.float32(0.25)
        )[0].tolist()

    assert estimate("gae_gamma_missing_in_delta") == [[3 + 2 - 1 + 0.125 * 7], [5 + 4 - 2]]
    assert estimate("gae_lambda_missing_in_recursion") == [[3 + 1 - 1 + 0.5 * 5], [5 + 2 - 2]]
    both = [[3 + 2 - 1 + 0.5 * 7], [5 + 4 - 2]]
    assert estimate("gae_gamma_missing_in_delta", "gae_lambda_missing_in_recursion") == both


def test_a_deviation_is_found_by_its_id() -> None:
    assert deviation("adam_eps_1e-8").stage == "parameters"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("adam_eps_1e8", "did you mean adam_eps_1e-8?"),
        ("xyz", "`python -m harness.catalogue` lists them"),
    ],
)
def test_an_unknown_id_is_reported_with_what_was_meant(name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(hint)) as error:
        deviation(name)
    assert str(error.value).startswith(f"deviation {name!r} is not in the catalogue")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("model", [DeviantPPO, DeviantA2C])
def test_deviations_can_be_combined(model: type[DeviantPPO], seed: int) -> None:
    algorithm = "a2c" if model is DeviantA2C else "ppo"
    known = [
        entry for entry in CATALOGUE if algorithm in entry.algorithms and entry.id != "single_advantage_normalised"
    ]
    chosen = random.Random(f"{algorithm} {seed}").sample(known, 2)
    env = random.Random(seed).choice(list(CASES))
    settings = {"n_steps": 8} if algorithm == "a2c" else CASES[env].settings
    trained(model, env, n_updates=2, deviations=chosen, **settings)


def printed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.catalogue", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={"COLUMNS": "60"})


def test_the_catalogue_is_printed_with_ids_that_can_be_searched() -> None:
    done = printed()
    assert f"{len(CATALOGUE)} deviations" in done.stdout
    first_words = {line.split()[0] for line in done.stdout.splitlines() if line.split()}
    assert first_words >= {entry.id for entry in MISTAKES}
    assert "episode_starts[t + 1]" in done.stdout


def test_the_catalogue_prints_all_about_a_mistake() -> None:
    done = printed("dual_clip", "gae_forwards")
    assert done.returncode == 0
    assert "  remedy:              Leave the surrogate unbounded" in done.stdout
    assert "  makes a difference:  only with a ratio above 3" in done.stdout
    assert "  not a deviation:     known from single functions" in done.stdout


def test_an_unknown_id_is_answered_with_the_nearest_one() -> None:
    done = printed("adam_eps_1e8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: adam_eps_1e8: no mistake has this id, did you mean adam_eps_1e-8?\n"
