"""JSON schema of experiment files, made from the rules that read them, with which editors complete and check a file.

It accepts all that the harness accepts, and not everything else is an error in it: `harness check-config` decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.config.entries import entry_rules
from harness.config.labels import LABEL
from harness.config.names import BORROWED, DEVIANTS, REGISTERED
from harness.config.rules import Rule
from harness.config.sections import EVALUATION_RULES, EXECUTION_RULES, LOGS, OVERRIDES, STATISTICS_RULES

__all__ = ["experiment_schema", "schema_text"]

Schema = dict[str, Any]

_SCORES: Schema = {"type": "object", "additionalProperties": {"type": "number"}}
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}


def schema_text() -> str:
    """Return the schema as JSON text that ends with a line break."""
    return json.dumps(experiment_schema(), indent=1) + "\n"


def experiment_schema() -> Schema:
    """Return the JSON schema (draft 7) of experiment files."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Experiment of the PPO harness",
        "definitions": _entries(),
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "algorithms", "environments", "seeds"],
        "properties": {
            "name": _described(LABEL, "Name of the folder of the results"),
            "algorithms": {
                "description": "Algorithms to compare: registered names, {label: settings}, sweeps and deviations",
                "type": "array",
                "minItems": 1,
                "items": {"anyOf": [_name(), _settings(), _sweep(), _deviations()]},
            },
            "environments": {
                "description": "Gymnasium ids and what is set for all algorithms: {CartPole-v1: {n_timesteps: 50_000}}",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"anyOf": [{"type": "null"}, _object(_overrides())]},
            },
            "seeds": {
                "description": "A count (5: the seeds 0 to 4), a range (0-9), or a list",
                "anyOf": [
                    {"type": "integer", "minimum": 1},
                    {"type": "string"},
                    {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}},
                ],
            },
            "evaluation": _object(_properties(EVALUATION_RULES)),
            "execution": _object(_properties(EXECUTION_RULES)),
            "logging": {
                "description": "Further logs of every run; no result depends on them",
                "anyOf": [LOGS.schema, {"type": "array", "items": LOGS.schema}],
            },
            "statistics": _object(
                _properties(STATISTICS_RULES)
                | {
                    "references": {
                        "description": "Environment id -> scores that scale the equivalence margin",
                        "type": "object",
                        "additionalProperties": _object({"random": {"type": "number"}, "best": {"type": "number"}}),
                    },
                    "thresholds": _SCORES | {"description": "Environment id -> score that counts as a solution"},
                }
            ),
            "trusted_packages": {
                "description": "Record of the packages allowed by --trust; it allows nothing itself",
                "type": "array",
                "items": {"type": "string"},
            },
            "hyperparameters": _hyperparameters(),
        },
    }


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _described(rule: Rule, description: str = "") -> Schema:
    return {**rule.schema, "description": description or rule.expected}


def _properties(rules: Mapping[str, Rule]) -> dict[str, Schema]:
    return {key: _described(rule) for key, rule in rules.items()}


def _entries() -> dict[str, Schema]:
    """Return a definition for the hyperparameters of each algorithm; of an unknown one, any other key is accepted."""
    rules = {name: rule for name, rule in entry_rules().items() if name not in DEVIANTS.values()}
    definitions = {name: _object(_properties(keys)) for name, keys in rules.items() if name}
    definitions["any"] = _object(_properties(rules[""])) | {"additionalProperties": True}
    return definitions


def _hyperparameters() -> Schema:
    """Return the schema of the section: by algorithm `zoo`, a file, or a mapping from environments to entries."""

    def source(definition: str) -> Schema:
        entries = {"type": "object", "additionalProperties": {"$ref": f"#/definitions/{definition}"}}
        return {"anyOf": [{"type": "string", "description": "`zoo`, or a file"}, entries]}

    # custom_ppo and its deviations take the entries of ppo, and with them arguments that ppo itself does not have.
    wider = {reference: name for name, reference in BORROWED.items()}
    return {
        "description": "Algorithm -> `zoo`, a file in rl_zoo3's format, or entries; without: constructors' defaults",
        "type": ["object", "null"],
        "properties": {name: source(wider.get(name, name) if name in _entries() else "any") for name in REGISTERED},
        "additionalProperties": source("any"),
    }


def _overrides() -> dict[str, Schema]:
    return {key: _described(rule) for key, rule in entry_rules()[""].items() if key in OVERRIDES}


def _name() -> Schema:
    """Return the schema of an algorithm that is named; an editor offers the registered names."""
    return {"anyOf": [{"enum": list(REGISTERED)}, {"type": "string", "pattern": ":"}]}


def _single(key: str | None, value: Schema) -> Schema:
    """Return the schema of a mapping with one key; None for any."""
    one: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1}
    if key is None:
        others = {"not": {"enum": ["sweep", "deviations"]}}
        return {**one, "propertyNames": others, "additionalProperties": value}
    return {**one, "required": [key], "properties": {key: value}, "additionalProperties": False}


def _settings() -> Schema:
    settings = _object(
        {
            "class": _name() | {"description": "Registered name, or package.module:Class"},
            "hyperparameters_of": {"type": "string", "description": "Key of the section hyperparameters"},
            "kwargs": {"$ref": "#/definitions/any"},
            "factors": {"type": "object", "additionalProperties": _SCALAR},
        }
    )
    return _single(None, {"anyOf": [{"type": "null"}, settings]})


def _sweep() -> Schema:
    levels: Schema = {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}]}
    keys = dict.fromkeys(["deviations", *entry_rules()["custom_ppo"]])
    return _single(
        "sweep",
        {
            "type": "object",
            "required": ["of"],
            "properties": {
                "of": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
                **{key: levels for key in keys if key not in {"n_timesteps", "env_kwargs"}},
            },
            "additionalProperties": levels,
        },
    )


def _deviations() -> Schema:
    ids: Schema = {"type": "array", "items": {"type": "string"}}
    return _single("deviations", _object({"of": {"type": "string"}, "only": ids, "except": ids}) | {"required": ["of"]})
