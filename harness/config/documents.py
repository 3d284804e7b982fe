"""Read YAML as plain data together with the line of every value, which error messages need.

PyYAML parses and composes; this module turns its nodes into plain Python values, because PyYAML's own
constructors drop the line numbers, accept duplicate keys, read `1e5` as text and `1:30` as the number 90.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from harness.errors import ConfigError

__all__ = ["Document", "KeyPath", "Located", "PlacedError", "Position", "parse_document", "shortened"]

Position = tuple[int, int]
"""Line and column, both counted from 1."""

KeyPath = tuple[str | int, ...]
"""Keys and indices from the root of a document to a value: ("algorithms", 2) or ("hyperparameters", "ppo")."""

MAX_VALUES = 20_000
"""Limit for values that aliases add to a file: nine lines of ten aliases each would make a billion values."""

MAX_DEPTH = 50
"""Limit for mappings and lists inside each other, anchors included: all later steps recurse over the data."""

MAX_DIGITS = 100
"""Largest number of characters of a number."""

MAX_MESSAGE = 1_000
"""Largest number of characters of a message; lists of accepted keys need the most."""

MAX_QUOTED = 60
"""Largest number of characters of a text from the file that a message repeats."""

_TAG = "tag:yaml.org,2002:"


class PlacedError(ConfigError):
    """A ConfigError with the file, line and column of the mistake, so that several can be sorted in the file's order.

    Messages quote text from the file: line breaks and control characters are escaped, and the middle of a message
    that is too long is left out, so that each stays one readable line.
    """

    def __init__(self, message: str, file: str = "", line: int = 0, column: int = 0, path: KeyPath = ()) -> None:
        super().__init__(shortened(message, MAX_MESSAGE))
        self.file = file
        self.line = line
        self.column = column
        self.path = path


def shortened(text: str, length: int) -> str:
    """Return the text on one line, without control characters, and without its middle if it is too long."""
    if len(text) > length:
        text = f"{text[: length - length // 4 - 5]} ... {text[-(length // 4) :]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the place of each value.

    positions: key path -> line and column of the key (or of the list item), both counted from 1.
    has_lines: False for text that was made, not read from a file, and whose lines mean nothing to the user.
    """

    file: str
    text: str
    data: Any
    positions: Mapping[KeyPath, Position]
    has_lines: bool = True

    @property
    def root(self) -> Located:
        """Whole document as a located value."""
        return Located(self, (), self.data)


@dataclass(frozen=True)
class Located:
    """A value of a document together with its key path."""

    document: Document
    path: KeyPath
    value: Any

    def __getitem__(self, key: str | int) -> Located:
        """Return the value below a key or at a list index; raise KeyError or IndexError."""
        return Located(self.document, (*self.path, key), self.value[key])

    def items(self) -> Iterator[tuple[str, Located]]:
        """Return the keys and located values of a mapping, in the order of the file."""
        return ((key, self[key]) for key in self.value)

    def elements(self) -> Iterator[Located]:
        """Return the located items of a list."""
        return (self[index] for index in range(len(self.value)))

    @property
    def where(self) -> str:
        """Place of this value's key: `file:line:column`, both counted from 1."""
        line, column = self.document.positions[self.path]
        return f"{self.document.file}:{line}:{column}" if self.document.has_lines else self.document.file

    def error(self, message: str) -> PlacedError:
        """Return an error with the text `file:line:column: key.path: message`."""
        text = ": ".join(filter(None, [self.where, _dotted(self.path), message]))
        return PlacedError(text, self.document.file, *self.document.positions[self.path], self.path)

    def placed(self, error: ConfigError) -> PlacedError:
        """Return the error with this place added, unless it has a place already."""
        return error if isinstance(error, PlacedError) else self.error(str(error))


def _dotted(path: KeyPath) -> str:
    """Return a key path as text: `algorithms[2].my_ppo.class`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{shortened(part, MAX_QUOTED)}" for part in path)
    return "".join(parts).removeprefix(".")


def parse_document(text: str, file: str, *, has_lines: bool = True) -> Document:
    """Parse YAML text as plain data: None, bool, int, float, str, list, and dict with text keys.

    file: file name shown in messages. Raises PlacedError for text that is not YAML, duplicate keys, tags other than
    plain data (`!!python/...`), anchors that contain themselves, aliases that expand to more than MAX_VALUES, and
    nesting deeper than MAX_DEPTH.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        builder = _Builder(file)
        data = None if node is None else builder.build(node, ())
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise PlacedError(
            f"{file}:{line}:{column}: contains the unprintable character {error.character!r}", file, line, column
        ) from None
    except (ValueError, OverflowError):  # PyYAML passes escapes such as \U00110000 on to chr()
        line, column = (loader.line + 1, loader.column + 1) if loader is not None else (1, 1)
        message = "is not YAML: an escape names a character that Unicode does not have"
        raise PlacedError(f"{file}:{line}:{column}: {message}", file, line, column) from None
    return Document(file, text, data, {(): (1, 1)} | builder.positions, has_lines)


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> PlacedError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = shortened(" ".join(f"{error.problem}".split()), 2 * MAX_QUOTED)
    if r"'\t'" in what:
        what += "; indent with spaces, not with tabs"
    what = what if what == _TOO_DEEP else f"is not YAML: {what}"
    return PlacedError(f"{file}:{line}:{column}: {what}", file, line, column)


_TOO_DEEP = f"is nested too deeply, at most {MAX_DEPTH} levels are read"


class _Loader(yaml.SafeLoader):
    """A SafeLoader that resolves plain scalars to null, booleans, decimal numbers, the merge key and text only."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose as PyYAML does, but refuse deep nesting before its recursion takes long."""
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


# Without this line, add_implicit_resolver would add to a copy of PyYAML's table, octal and base-60 numbers included.
_Loader.yaml_implicit_resolvers = {}

_DIGITS = r"[0-9][0-9_]*"
_EXPONENT = r"[eE][-+]?[0-9]+"
for _kind, _pattern in (
    ("null", r"~|null|Null|NULL|"),
    ("bool", r"(?i:true|false|yes|no|on|off)"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)"),
    ("float", rf"[-+]?(?:{_DIGITS}\.[0-9_]*|\.{_DIGITS})(?:{_EXPONENT})?|[-+]?{_DIGITS}{_EXPONENT}"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
    ("merge", r"<<"),
):
    # None: PyYAML selects resolvers by the scalar's first character, and these apply to any.
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), None)


def _scalar(node: yaml.ScalarNode) -> Any:
    """Return the value of a scalar; raise ValueError if its text does not fit its tag, KeyError for an unknown tag."""
    text: str = node.value
    match node.tag.removeprefix(_TAG):
        case "str" | "merge":
            text.encode()  # half of a surrogate pair, which \\ud800 writes, is no text and cannot be printed
            return text
        case "null":
            return None
        case "bool":
            return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}[text.lower()]
        case "int" | "float" if len(text) > MAX_DIGITS:
            raise ValueError
        case "int":
            return int(text)
        case "float":
            return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text, flags=re.IGNORECASE))
    raise KeyError(node.tag)


class _Builder:
    """Converts composed nodes to plain data, and records line and column of each key path."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.positions: dict[KeyPath, Position] = {}
        self._open: list[yaml.Node] = []
        self._count = 0
        self._seen: set[int] = set()

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the data of the node at this path."""
        if isinstance(node, yaml.ScalarNode):
            return self._build_scalar(node)
        self._enter(node)
        data: Any
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            data = {}
            for key, (key_node, value_node) in self._pairs(node).items():
                self.positions[*path, key] = _position(key_node)
                data[key] = self.build(value_node, (*path, key))
        elif isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            data = []
            for index, item in enumerate(node.value):
                self.positions[*path, index] = _position(item)
                data.append(self.build(item, (*path, index)))
        else:
            raise self._refused_tag(node)
        self._open.pop()
        return data

    def _build_scalar(self, node: yaml.ScalarNode) -> Any:
        self._tick(node)
        try:
            return _scalar(node)
        except UnicodeEncodeError:
            raise self._error(node, "is not Unicode text: an escape names half of a surrogate pair") from None
        except ValueError:
            number = shortened(node.value, MAX_QUOTED)
            raise self._error(node, f"{number!r} is not a number of at most {MAX_DIGITS} digits") from None
        except KeyError:
            raise self._refused_tag(node) from None

    def _pairs(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return key text -> (key node, value node) with `<<` merged in; own keys win, then the earlier merge."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            self._tick(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be plain text, not a list or a mapping")
            if key_node.tag == _TAG + "merge":
                for pairs in self._merge_sources(value_node):
                    for key, pair in pairs.items():
                        merged.setdefault(key, pair)  # of two merged mappings the earlier wins
            elif key_node.value in own:
                key, (first, _) = shortened(key_node.value, MAX_QUOTED), _position(own[key_node.value][0])
                raise self._error(key_node, f"duplicate key {key!r}, first given in line {first}")
            else:
                self._build_scalar(key_node)
                own[key_node.value] = (key_node, value_node)
        return merged | own

    def _merge_sources(self, node: yaml.Node) -> Iterator[dict[str, tuple[yaml.Node, yaml.Node]]]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode):
                raise self._error(source, "expected a mapping or a list of mappings after `<<`")
            self._enter(source)
            pairs = self._pairs(source)
            self._count += len(pairs)
            yield pairs
            self._open.pop()

    def _enter(self, node: yaml.Node) -> None:
        self._tick(node)
        # An alias is the same object as its anchor, so identity finds a node inside itself; comparing by value would
        # recurse for ever.
        if any(node is open_node for open_node in self._open):
            raise self._error(node, "an anchor contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise self._error(node, _TOO_DEEP)
        self._open.append(node)

    def _tick(self, node: yaml.Node) -> None:
        # An alias is the same object as its anchor.
        if id(node) in self._seen:
            self._count += 1
        self._seen.add(id(node))
        if self._count > MAX_VALUES:
            raise self._error(node, f"the aliases of the file expand to more than {MAX_VALUES} values")

    def _refused_tag(self, node: yaml.Node) -> PlacedError:
        tag = shortened(node.tag.replace(_TAG, "!!"), MAX_QUOTED)
        return self._error(node, f"the tag {tag} is not allowed, a configuration may hold plain data only")

    def _error(self, node: yaml.Node, message: str) -> PlacedError:
        line, column = _position(node)
        return PlacedError(f"{self.file}:{line}:{column}: {message}", self.file, line, column)


def _position(node: yaml.Node) -> Position:
    return int(node.start_mark.line) + 1, int(node.start_mark.column) + 1
