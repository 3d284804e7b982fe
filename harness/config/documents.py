"""Read YAML as plain data together with the line of every value, which error messages need.

PyYAML parses and composes; this module turns its nodes into plain Python values, because PyYAML's own
constructors drop the line numbers, accept duplicate keys, read `1e5` as text and `1:30` as the number 90.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import ConfigError, did_you_mean

__all__ = ["Document", "KeyPath", "Located", "PlacedError", "parse_document", "read_text"]

KeyPath = tuple[str | int, ...]
"""Keys and indices from the root of a document to a value: ("algorithms", 2) or ("hyperparameters", "ppo")."""

MAX_VALUES = 200_000
"""Limit for values after aliases are expanded: nine lines of ten aliases each would make a billion values."""

_TAG = "tag:yaml.org,2002:"


class PlacedError(ConfigError):
    """A ConfigError with the file and line of the mistake, so that several can be sorted in the order of the file.

    Messages quote text from the file: line breaks and control characters are escaped, so that each stays one line.
    """

    def __init__(self, message: str, file: str = "", line: int = 0) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))
        self.file = file
        self.line = line


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, with the place of each value.

    lines: key path -> line of the key (or of the list item), counted from 1.
    """

    file: str
    text: str
    data: Any
    lines: Mapping[KeyPath, int]

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
    def line(self) -> int:
        """Line of this value's key, counted from 1."""
        return self.document.lines[self.path]

    def error(self, message: str) -> PlacedError:
        """Return an error with the text `file:line: key.path: message`."""
        where = f"{self.document.file}:{self.line}"
        return PlacedError(": ".join(filter(None, [where, _dotted(self.path), message])), self.document.file, self.line)

    def placed(self, error: ConfigError) -> PlacedError:
        """Return the error with this place added, unless it has a place already."""
        return error if isinstance(error, PlacedError) else self.error(str(error))


def _dotted(path: KeyPath) -> str:
    """Return a key path as text: `algorithms[2].my_ppo.class`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; raise PlacedError if it cannot be read or is not UTF-8."""
    file = str(path)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise PlacedError(
            f"{file}:{line}: is not UTF-8 text (byte 0x{byte:02x}); save it as UTF-8", file, line
        ) from None
    except FileNotFoundError:
        raise PlacedError(f"{file}: does not exist{_similar_file(path)}", file) from None
    except IsADirectoryError:
        raise PlacedError(f"{file}: is a folder, expected a YAML file", file) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PlacedError(f"{file}: cannot be read ({reason})", file) from None


def _similar_file(path: Path) -> str:
    """Return `, did you mean ppo.yml?` for the YAML file in the same folder with the closest name, or nothing."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in {".yml", ".yaml"})
    except OSError:
        return ""
    return did_you_mean(path.name, names)


def parse_document(text: str, file: str) -> Document:
    """Parse YAML text as plain data: None, bool, int, float, str, list, and dict with text keys.

    file: file name shown in messages. Raises PlacedError for text that is not YAML, duplicate keys, tags other than
    plain data (`!!python/...`), anchors that contain themselves, and aliases that expand to more than MAX_VALUES.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        builder = _Builder(file)
        data = None if node is None else builder.build(node, ())
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PlacedError(
            f"{file}:{line}: contains the unprintable character {error.character!r}", file, line
        ) from None
    except RecursionError:
        raise PlacedError(f"{file}:1: is nested too deeply", file, 1) from None
    return Document(file, text, data, {(): 1} | builder.lines)


def _syntax_error(error: yaml.MarkedYAMLError, file: str) -> PlacedError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = " ".join(f"{error.problem}".split())
    if r"'\t'" in what:
        what += "; indent with spaces, not with tabs"
    return PlacedError(f"{file}:{line}:{column}: is not YAML: {what}", file, line)


class _Loader(yaml.SafeLoader):
    """A SafeLoader that resolves plain scalars to null, booleans, decimal numbers, the merge key and text only."""


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
            return text
        case "null":
            return None
        case "bool":
            return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}[text.lower()]
        case "int":
            return int(text)
        case "float":
            return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text, flags=re.IGNORECASE))
    raise KeyError(node.tag)


class _Builder:
    """Converts composed nodes to plain data, and records the line of each key path."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[KeyPath, int] = {}
        self._open: list[yaml.Node] = []
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the data of the node at this path."""
        if isinstance(node, yaml.ScalarNode):
            return self._build_scalar(node)
        self._enter(node)
        data: Any
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            data = {}
            for key, (key_node, value_node) in self._pairs(node).items():
                self.lines[*path, key] = _line(key_node)
                data[key] = self.build(value_node, (*path, key))
        elif isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            data = []
            for index, item in enumerate(node.value):
                self.lines[*path, index] = _line(item)
                data.append(self.build(item, (*path, index)))
        else:
            raise self._refused_tag(node)
        self._open.pop()
        return data

    def _build_scalar(self, node: yaml.ScalarNode) -> Any:
        self._tick(node)
        try:
            return _scalar(node)
        except ValueError:
            raise self._error(node, f"{node.value!r} is not a number") from None
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
                    merged = pairs | merged  # of two merged mappings the earlier wins
            elif key_node.value in own:
                first = _line(own[key_node.value][0])
                raise self._error(key_node, f"duplicate key {key_node.value!r}, first given in line {first}")
            else:
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
        self._open.append(node)

    def _tick(self, node: yaml.Node) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._error(node, f"the aliases of the file expand to more than {MAX_VALUES} values")

    def _refused_tag(self, node: yaml.Node) -> PlacedError:
        tag = node.tag.replace(_TAG, "!!")
        return self._error(node, f"the tag {tag} is not allowed, a configuration may hold plain data only")

    def _error(self, node: yaml.Node, message: str) -> PlacedError:
        return PlacedError(f"{self.file}:{_line(node)}: {message}", self.file, _line(node))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
