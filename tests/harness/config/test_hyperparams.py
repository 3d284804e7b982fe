from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.hyperparams import (
    Linear,
    parse_class,
    parse_kwargs,
    parse_normalize,
    parse_schedule,
    parse_wrappers,
)
from harness.config.literals import Name
from harness.errors import ConfigError


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_lin_with_a_number_is_a_linear_schedule_from_that_number(initial: float) -> None:
    assert parse_schedule(f"lin_{initial!r}") == Linear(initial)


@given(st.integers(-(2**53), 2**53) | st.floats(allow_nan=False))
def test_a_number_is_a_constant_schedule(value: float) -> None:
    assert parse_schedule(value) == value
    assert isinstance(parse_schedule(value), float)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "linear_0.1",
            'expected a number or lin_NUMBER (linear to 0), got the text "linear_0.1", did you mean lin_0.1?',
        ),
        ("lin0.1", 'expected a number or lin_NUMBER (linear to 0), got the text "lin0.1", did you mean lin_0.1?'),
        (
            "3e-4",
            'expected a number or lin_NUMBER (linear to 0), got the text "3e-4", did you mean 3e-4 without quotes?',
        ),
        ("constant", 'expected a number or lin_NUMBER (linear to 0), got the text "constant"'),
        ("lin_", 'expected a number or lin_NUMBER (linear to 0), got the text "lin_"'),
        ("lin_-1", 'expected a number or lin_NUMBER (linear to 0), got the text "lin_-1", did you mean lin_1?'),
        ("lin_nan", 'expected a number or lin_NUMBER (linear to 0), got the text "lin_nan"'),
        (True, "expected a number or lin_NUMBER (linear to 0), got true"),
        (None, "expected a number or lin_NUMBER (linear to 0), got nothing"),
        ([0.1], "expected a number or lin_NUMBER (linear to 0), got a list"),
    ],
)
def test_a_misspelt_schedule_is_refused_with_a_suggestion(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_schedule(value)
    assert str(caught.value) == message


def test_keyword_arguments_may_be_a_literal_or_a_yaml_mapping() -> None:
    literal = "dict(net_arch=dict(pi=[64]), activation_fn=nn.ReLU)"
    mapping = {"net_arch": {"pi": [64]}, "activation_fn": "nn.ReLU"}
    assert (
        parse_kwargs(literal) == parse_kwargs(mapping) == {"net_arch": {"pi": [64]}, "activation_fn": Name("nn.ReLU")}
    )


def test_missing_keyword_arguments_are_an_empty_dict() -> None:
    assert parse_kwargs(None) == parse_kwargs("dict()") == parse_kwargs({}) == {}


def test_text_that_names_no_class_stays_text_in_a_yaml_mapping() -> None:
    assert parse_kwargs({"render_mode": "rgb_array", "tags": ["a.b"]}) == {"render_mode": "rgb_array", "tags": ["a.b"]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"activation_fn": "nn.Relu"}, "the name nn.Relu is not known, did you mean nn.ReLU?"),
        ("[1]", "expected a mapping or text such as dict(key=value), got a list"),
        ("(1, 2)", "expected a mapping or text such as dict(key=value), got tuple"),
        (3, "expected a mapping or text such as dict(key=value), got 3"),
        ([1], "expected a mapping or text such as dict(key=value), got a list"),
        (True, "expected a mapping or text such as dict(key=value), got true"),
    ],
)
def test_keyword_arguments_that_are_not_a_mapping_are_refused(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_kwargs(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        (None, None),
        (False, None),
        (True, {}),
        ("{'norm_obs': False, 'norm_reward': True}", {"norm_obs": False, "norm_reward": True}),
        ({"gamma": 0.9}, {"gamma": 0.9}),
    ],
)
def test_normalisation_is_off_on_or_given_arguments(value: object, arguments: object) -> None:
    assert parse_normalize(value) == arguments


def test_an_unknown_argument_of_vec_normalize_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^VecNormalize has no argument norm_rewards, did you mean norm_reward\?$"):
        parse_normalize("dict(norm_rewards=True)")


def test_wrappers_keep_their_order_and_their_arguments() -> None:
    value = ["a.B", {"c.d.E": {"skip": 2}}, {"f.G": None}]
    assert parse_wrappers(value) == (("a.B", {}), ("c.d.E", {"skip": 2}), ("f.G", {}))
    assert parse_wrappers("a.B") == parse_wrappers(["a.B"]) == (("a.B", {}),)
    assert parse_wrappers(None) == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("FlatObsWrapper", 'expected the dotted name of a wrapper class, got the text "FlatObsWrapper"'),
        ("a.b; import os", 'expected the dotted name of a wrapper class, got the text "a.b; import os"'),
        (["a.B", 3], "expected the dotted name of a wrapper class, got 3"),
        ([{"a.B": None, "skip": 2}], "expected one wrapper in each list item; check the indentation of its arguments"),
        ([{"a.B": 2}], "expected the arguments of a.B as a mapping, got 2"),
    ],
)
def test_an_invalid_wrapper_is_refused(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_wrappers(value)
    assert str(caught.value) == message


def test_a_class_is_a_known_name_or_nothing() -> None:
    assert parse_class("DictRolloutBuffer") == Name("DictRolloutBuffer")
    assert parse_class(None) is None
    with pytest.raises(ConfigError, match=r"^expected the name of a class, got 3$"):
        parse_class(3)
