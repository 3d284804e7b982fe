"""Read Python literals in text, as in rl_zoo3's files, without `eval`.

"dict(net_arch=dict(pi=[256, 256]), activation_fn=nn.ReLU)" is data that mentions a class. rl_zoo3 evaluates such text,
so that a hyperparameter file can run any code. Here it is parsed, and a class becomes a `Name` from a fixed table.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.errors import ConfigError, did_you_mean

__all__ = ["ALLOWED_NAMES", "Name", "parse_literal"]

MAX_LENGTH = 10_000
"""Largest number of characters that is parsed: deep nesting in long text can exhaust the parser's stack."""

MAX_DEPTH = 50
"""Limit for brackets, calls and operators inside each other: every later step recurses over the value."""

MAX_NUMBER = 1e18
"""Largest operand and result of arithmetic, so that 2**10**9 is refused before it is computed."""

MAX_EXPONENT = 64
"""Largest exponent of a power."""

_MODULES = """
    CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid LogSoftmax Mish PReLU
    RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softplus Softshrink Softsign Tanh Tanhshrink
""".split()  # noqa: SIM905 - a table of quoted names reads worse
_OPTIMIZERS = (
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "SGD",
)
_SB3 = {
    "BaseFeaturesExtractor": "stable_baselines3.common.torch_layers",
    "CombinedExtractor": "stable_baselines3.common.torch_layers",
    "FlattenExtractor": "stable_baselines3.common.torch_layers",
    "NatureCNN": "stable_baselines3.common.torch_layers",
    "RMSpropTFLike": "stable_baselines3.common.sb2_compat.rmsprop_tf_like",
    "RolloutBuffer": "stable_baselines3.common.buffers",
    "DictRolloutBuffer": "stable_baselines3.common.buffers",
    "ReplayBuffer": "stable_baselines3.common.buffers",
    "DictReplayBuffer": "stable_baselines3.common.buffers",
    "HerReplayBuffer": "stable_baselines3",
}

ALLOWED_NAMES: Mapping[str, str] = {
    **{f"{prefix}nn.{name}": f"torch.nn:{name}" for name in _MODULES for prefix in ("", "th.", "torch.")},
    **{f"{prefix}optim.{name}": f"torch.optim:{name}" for name in _OPTIMIZERS for prefix in ("", "th.", "torch.")},
    **{name: f"{module}:{name}" for name, module in _SB3.items()},
}
"""Spelling of a class in a literal -> "module:attribute" to import."""

Number = int | float


@dataclass(frozen=True)
class Name:
    """A class named in a literal; its `target` is imported only when training starts."""

    spelled: str

    def __post_init__(self) -> None:
        if self.spelled not in ALLOWED_NAMES:
            hint = (
                did_you_mean(self.spelled, ALLOWED_NAMES)
                or "; allowed are classes of torch.nn, torch.optim and SB3 such as nn.ReLU"
            )
            raise ConfigError(f"the name {self.spelled} is not known{hint}")

    @property
    def target(self) -> str:
        """Module and attribute to import: "torch.nn:ReLU" for nn.ReLU."""
        return ALLOWED_NAMES[self.spelled]


def parse_literal(text: str) -> object:
    """Return the value of a Python literal: None, bool, int, float, str, list, tuple, dict with text keys, or `Name`.

    `dict(key=...)`, `list([...])`, `tuple([...])` and arithmetic of numbers (+ - * / **) are evaluated.
    Raises ConfigError, one line, for everything else.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"a literal of {len(text)} characters is too long, at most {MAX_LENGTH} are read")
    try:
        # PyYAML keeps the indentation of a text that starts on the next line.
        tree = ast.parse(text.strip(), mode="eval")
        if _depth(tree.body) > MAX_DEPTH:
            raise ValueError("nested too deeply")
        return _value(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(f"{_quoted(text)} is not a Python literal ({reason or 'nested too deeply'})") from None


def _depth(tree: ast.AST) -> int:
    """Return the number of levels of a syntax tree, up to the first that is one too many."""
    level: list[ast.AST] = [tree]
    for depth in range(MAX_DEPTH + 1):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return depth
    return MAX_DEPTH + 1


def _value(node: ast.expr) -> object:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys=keys, values=values):
            return _mapping([_key(key) for key in keys], values)
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            return _mapping([keyword.arg for keyword in keywords], [keyword.value for keyword in keywords])
        case ast.Call(func=ast.Name(id="list"), args=[ast.List(elts=items) | ast.Tuple(elts=items)], keywords=[]):
            return [_value(item) for item in items]
        case ast.Call(func=ast.Name(id="tuple"), args=[ast.List(elts=items) | ast.Tuple(elts=items)], keywords=[]):
            return tuple(_value(item) for item in items)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = _number(operand)
            return -number if isinstance(sign, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(node, _number(left), op, _number(right))
        case ast.Name() | ast.Attribute():
            return Name(_dotted(node))
    raise _refusal(node)


def _mapping(keys: list[str | None], values: list[ast.expr]) -> dict[str, object]:
    """Return the dict of the keys and values; a key is None for an item with `**`."""
    mapping: dict[str, object] = {}
    for key, value in zip(keys, values, strict=True):
        if key is None:
            raise ConfigError("`**` is not allowed in a configuration, write out the keys")
        if key in mapping:
            raise ConfigError(f"the key {key!r} is given twice")
        mapping[key] = _value(value)
    return mapping


def _key(node: ast.expr | None) -> str | None:
    match node:
        case None:
            return None
        case ast.Constant(value=str() as key):
            return key
    raise ConfigError(f"the key {_quoted(ast.unparse(node))} is not text")


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{_dotted(value)}.{attribute}"
    raise _refusal(node)


def _number(node: ast.expr) -> Number:
    value = _value(node)
    # bool is a subclass of int: -True would be read as -1.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{_quoted(ast.unparse(node))} is not a number, arithmetic is for numbers only")
    return value


_OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _arithmetic(node: ast.BinOp, left: Number, op: ast.operator, right: Number) -> Number:
    if type(op) not in _OPERATORS:
        raise _refusal(node)
    too_large = ConfigError(f"{_quoted(ast.unparse(node))} is too large or not a real number")
    # Check the operands first: computing 2**10**9 only to find it too large would take minutes.
    if max(abs(left), abs(right)) > MAX_NUMBER or (isinstance(op, ast.Pow) and abs(right) > MAX_EXPONENT):
        raise too_large
    try:
        result = _OPERATORS[type(op)](left, right)
    except ArithmeticError:
        raise too_large from None
    if isinstance(result, complex) or not math.isfinite(result) or abs(result) > MAX_NUMBER:
        raise too_large
    return result


def _refusal(node: ast.expr) -> ConfigError:
    return ConfigError(
        f"{_quoted(ast.unparse(node))} is not allowed in a configuration, expected literals, dict(), list(), tuple(), "
        "numbers and names such as nn.ReLU"
    )


def _quoted(text: str) -> str:
    """Return the text between backticks, on one line, cut after 60 characters."""
    line = " ".join(text.split())
    return f"`{line if len(line) <= 60 else line[:57] + '...'}`"
