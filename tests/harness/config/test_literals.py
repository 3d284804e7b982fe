from __future__ import annotations

import ast
import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.literals import ALLOWED_NAMES, Name, parse_literal
from harness.errors import ConfigError

LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(LITERALS)
def test_literals_are_read_as_python_reads_them(value: object) -> None:
    assert parse_literal(repr(value)) == ast.literal_eval(repr(value)) == value


@given(st.text(max_size=40))
def test_any_text_gives_a_value_or_one_line(text: str) -> None:
    try:
        parse_literal(text)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are well


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("dict()", {}),
        ("dict(log_std_init=-2, ortho_init=False)", {"log_std_init": -2, "ortho_init": False}),
        ("{'norm_obs': False, 'norm_reward': True}", {"norm_obs": False, "norm_reward": True}),
        ("dict(net_arch=dict(pi=[256, 256], vf=[256]),)", {"net_arch": {"pi": [256, 256], "vf": [256]}}),
        ("\n  dict(\n    a=1,\n    b=(2, 3))\n", {"a": 1, "b": (2, 3)}),
        ("list((1, 2))", [1, 2]),
        ("tuple([1, 2])", (1, 2)),
        ("-1e-3", -1e-3),
        ("+2", 2),
        ("2 ** 10 - 4 * 6 / 3", 1016.0),
        ("2 ** -1", 0.5),
        ("dict(activation_fn=nn.ReLU)", {"activation_fn": Name("nn.ReLU")}),
        ("[RMSpropTFLike, th.optim.Adam]", [Name("RMSpropTFLike"), Name("th.optim.Adam")]),
    ],
)
def test_the_literals_of_the_zoo_are_understood(text: str, value: object) -> None:
    assert parse_literal(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('ls')", "`__import__('os').system('ls')` is not allowed in a configuration"),
        ("open('x')", "`open('x')` is not allowed in a configuration"),
        ("nn.ReLU()", "`nn.ReLU()` is not allowed in a configuration"),
        ("dict(nn.ReLU)", "`dict(nn.ReLU)` is not allowed in a configuration"),
        ("dict([('a', 1)])", "`dict([('a', 1)])` is not allowed in a configuration"),
        ("[x for x in (1, 2)]", "`[x for x in (1, 2)]` is not allowed in a configuration"),
        ("f'{1}'", "`f'{1}'` is not allowed in a configuration"),
        ("lambda: 1", "`lambda: 1` is not allowed in a configuration"),
        ("1 if True else 2", "`1 if True else 2` is not allowed in a configuration"),
        ("(y := 1)", "`(y := 1)` is not allowed in a configuration"),
        ("[1, 2][0]", "`[1, 2][0]` is not allowed in a configuration"),
        ("[*(1, 2)]", "`*(1, 2)` is not allowed in a configuration"),
        ("1 << 99", "`1 << 99` is not allowed in a configuration"),
        ("not 1", "`not 1` is not allowed in a configuration"),
        ("1j", "`1j` is not allowed in a configuration"),
        ("b'a'", "`b'a'` is not allowed in a configuration"),
        ("...", "`...` is not allowed in a configuration"),
        ("{1, 2}", "`{1, 2}` is not allowed in a configuration"),
        ("().__class__.__bases__", "`()` is not allowed in a configuration"),
        ("dict(**{'a': 1})", "`**` is not allowed in a configuration, write out the keys"),
        ("{**dict(a=1)}", "`**` is not allowed in a configuration, write out the keys"),
        ("{1: 2}", "the key `1` is not text"),
        ("{'a': 1, 'a': 2}", "the key 'a' is given twice"),
        ("nn.Relu", "the name nn.Relu is not known, did you mean nn.ReLU?"),
        ("nn.ReLU.__init__", "the name nn.ReLU.__init__ is not known"),
        ("os", "the name os is not known"),
        ("True + 1", "`True` is not a number, arithmetic is for numbers only"),
        ("-'a'", "`'a'` is not a number, arithmetic is for numbers only"),
        ("[1] * 2", "`[1]` is not a number, arithmetic is for numbers only"),
        ("2 ** 10 ** 9", "`2 ** 10 ** 9` is too large or not a real number"),
        ("10 ** 18 * 10", "`10 ** 18 * 10` is too large or not a real number"),
        ("9.9 ** 64 ** 1.0", "`9.9 ** 64 ** 1.0` is too large or not a real number"),
        ("1 / 0", "`1 / 0` is too large or not a real number"),
        ("(-8) ** 0.5", "`(-8) ** 0.5` is too large or not a real number"),
        ("1e999 - 1e999", "`1e309 - 1e309` is too large or not a real number"),
        ("dict(a=1", "`dict(a=1` is not a Python literal ('(' was never closed)"),
        ("dict(a=1, a=2)", "the key 'a' is given twice"),
        ("", "`` is not a Python literal (invalid syntax)"),
        ("import os", "`import os` is not a Python literal (invalid syntax)"),
        ("(" * 300, f"`{'(' * 57}...` is not a Python literal (too many nested parentheses)"),
        ("9" * 5000, f"`{'9' * 57}...` is not a Python literal"),
        ("\0", "`\0` is not a Python literal"),
        ("1" * 10_001, "a literal of 10001 characters is too long, at most 10000 are read"),
    ],
)
def test_other_expressions_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_literal(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["-" * 9_000 + "1", "1" + "+1" * 4_000, "a" + ".b" * 4_000])
def test_a_literal_that_nests_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_literal(text)


@pytest.mark.parametrize("target", sorted(set(ALLOWED_NAMES.values())))
def test_every_allowed_name_is_a_class_of_the_installed_packages(target: str) -> None:
    module, _, attribute = target.partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), type)


def test_the_same_class_may_be_spelled_as_in_torch_code() -> None:
    assert {Name(spelled).target for spelled in ("nn.Tanh", "th.nn.Tanh", "torch.nn.Tanh")} == {"torch.nn:Tanh"}


def test_a_name_outside_the_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^the name os\.system is not known"):
        Name("os.system")
