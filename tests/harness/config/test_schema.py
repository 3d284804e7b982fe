from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.config import load_config, resolved_text
from harness.config.documents import parse_document
from harness.config.schema import experiment_schema, schema_text
from tests.harness.config.fuzz import SWEEP

CONFIGS = Path(__file__).parents[3] / "configs"
SCHEMA = experiment_schema()
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
}


def is_of_type(value: Any, kind: str) -> bool:
    if kind in {"integer", "number"}:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (kind == "number" or value == int(value))
    return isinstance(value, TYPES[kind])


def accepts(schema: Mapping[str, Any], value: Any) -> bool:
    """Return True if a value fits a schema: the few keywords of JSON schema that this project's schema uses."""
    if "$ref" in schema:
        return accepts(SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]], value)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    checks = [
        not kinds or any(is_of_type(value, kind) for kind in kinds),
        "enum" not in schema or value in schema["enum"],
        "not" not in schema or not accepts(schema["not"], value),
        "anyOf" not in schema or any(accepts(option, value) for option in schema["anyOf"]),
    ]
    if isinstance(value, str):
        checks += [
            re.search(schema.get("pattern", ""), value) is not None,
            len(value) <= schema.get("maxLength", len(value)),
        ]
    if isinstance(value, int | float) and not isinstance(value, bool):
        checks += [
            schema.get("minimum", value) <= value <= schema.get("maximum", value),
            "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"],
            "exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"],
        ]
    if isinstance(value, list):
        checks += [len(value) >= schema.get("minItems", 0), len(value) <= schema.get("maxItems", len(value))]
        checks += [*(accepts(schema.get("items", {}), item) for item in value)]
    if isinstance(value, dict):
        others = schema.get("additionalProperties", True)
        properties = schema.get("properties", {})
        checks += [
            schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)),
            set(schema.get("required", [])) <= set(value),
            all(accepts(schema.get("propertyNames", {}), key) for key in value),
            all(accepts(properties[key], item) for key, item in value.items() if key in properties),
            all(others is True or (others and accepts(others, value[key])) for key in set(value) - set(properties)),
        ]
    return all(checks)


def fits(text: str) -> bool:
    return accepts(SCHEMA, parse_document(text, "a.yml").data)


def test_the_schema_beside_the_configurations_is_current() -> None:
    assert (CONFIGS / "experiment.schema.json").read_text() == schema_text()


def test_the_schema_uses_only_keywords_that_the_test_knows() -> None:
    known = {
        "$schema", "title", "definitions", "description", "type", "additionalProperties", "required", "properties",
        "minItems", "maxItems", "items", "anyOf", "minProperties", "maxProperties", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "pattern", "maxLength", "enum", "not", "$ref", "propertyNames",
    }  # fmt: skip

    def keywords(schema: Any) -> set[str]:
        if not isinstance(schema, dict):
            return set()
        inner = [part for key in {"properties", "definitions"} & set(schema) for part in schema[key].values()]
        inner += [schema.get(key) for key in ("items", "not", "propertyNames", "additionalProperties")]
        return set(schema).union(*(keywords(part) for part in [*inner, *schema.get("anyOf", [])]))

    assert keywords(json.loads(schema_text())) <= known


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yml")), ids=lambda path: path.name)
def test_every_published_experiment_fits_the_schema_also_when_resolved(path: Path) -> None:
    assert fits(path.read_text())
    assert fits(resolved_text(load_config(path)))


def test_an_experiment_that_uses_everything_fits_the_schema() -> None:
    assert fits(SWEEP)
    assert fits("name: a\nalgorithms: [ppo]\nenvironments: {CartPole-v1: {n_timesteps: '50_000'}}\nseeds: 0-9\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: s", "nam: s"),
        ("name: s", "name: ../s"),
        ("seeds: [3, 1, 2]", "seeds: [-1]"),
        ("seeds: [3, 1, 2]", "seeds: 0"),
        ("n_evaluations: 2", "n_evaluations: 0"),
        ("n_evaluations: 2", "n_evaluation: 2"),
        ("- custom_ppo", "- custom_pp0"),
        ("n_envs: 2", "n_env: 2"),
        ("n_steps: 128", "n_step: 128"),
        ("n_steps: 128", "n_steps: many"),
        ("learning_rate: lin_0.001", "learning_rate: []"),
        ("{of: [custom_ppo, slow], ", "{"),
        ("clip_range: [0.1, lin_0.2]", "clip_range: 0.1"),
        ("random: 20, best", "random: 20, bets"),
        ("only: [sgd", "onli: [sgd"),
    ],
)
def test_mistakes_do_not_fit_the_schema(old: str, new: str) -> None:
    assert old in SWEEP
    assert not fits(SWEEP.replace(old, new, 1))


def test_the_installed_validator_agrees() -> None:
    jsonschema = pytest.importorskip("jsonschema")

    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(parse_document(SWEEP, "a.yml").data, SCHEMA)
