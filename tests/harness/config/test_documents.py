from __future__ import annotations

import datetime
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.config.documents import PlacedError, parse_document
from harness.config.files import read_text

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def data(text: str) -> object:
    return parse_document(text, "a.yml").data


def message(text: str) -> str:
    with pytest.raises(PlacedError) as caught:
        parse_document(text, "a.yml")
    return str(caught.value)


@given(PLAIN)
def test_plain_data_written_as_yaml_is_read_back_as_it_was(value: object) -> None:
    assert data(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e5", 1e5),
        ("1E-3", 1e-3),
        ("-2.5e-4", -2.5e-4),
        (".5", 0.5),
        ("+3.", 3.0),
        ("50_000", 50_000),
        ("1_0.5", 10.5),
        ("!!float 1e6", 1e6),
        ("!!float 20000", 20000.0),
        ("-.inf", -math.inf),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("!!str 5", "5"),
    ],
)
def test_numbers_and_booleans_are_read_in_every_common_notation(text: str, value: object) -> None:
    read = data(f"a: {text}")
    assert read == {"a": value}
    assert type(read["a"]) is type(value)


@pytest.mark.parametrize("text", ["0-9", "1:30", "010", "0x1f", "2001-12-14", "1e", "lin_0.1", "e5", "_1", "1e5x"])
def test_text_that_resembles_a_number_stays_text(text: str) -> None:
    assert data(f"a: {text}") == {"a": text}


def test_pyyaml_itself_misreads_the_values_that_are_kept_as_text() -> None:
    read = yaml.safe_load("{a: 1:30, b: 010, c: 2001-12-14, d: 1e5}")
    assert read == {"a": 90, "b": 8, "c": datetime.date(2001, 12, 14), "d": "1e5"}


def test_keys_are_text_whatever_they_look_like() -> None:
    assert data("1: a\nno: b\n1.5: c") == {"1": "a", "no": "b", "1.5": "c"}


def test_each_value_knows_line_and_column_of_its_key() -> None:
    document = parse_document("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n", "a.yml")
    assert document.positions == {
        (): (1, 1),
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "c"): (3, 3),
        ("a", "c", 0): (4, 7),
        ("a", "c", 1): (5, 7),
        ("a", "c", 1, "d"): (5, 8),
    }
    assert str(document.root["a"]["c"][1]["d"].error("is odd")) == "a.yml:5:8: a.c[1].d: is odd"


def test_text_that_no_user_wrote_has_no_lines() -> None:
    document = parse_document("a: 1", "harness train", has_lines=False)
    assert str(document.root["a"].error("is odd")) == "harness train: a: is odd"


def test_a_merged_key_has_the_line_where_it_is_written_and_own_keys_win() -> None:
    document = parse_document("base: &b\n  x: 1\n  y: 2\nother:\n  y: 3\n  <<: *b\n", "a.yml")
    assert document.data["other"] == {"x": 1, "y": 3}
    assert document.positions["other", "x"] == (2, 3)
    assert document.positions["other", "y"] == (5, 3)


def test_of_several_merged_mappings_the_earlier_wins() -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}"
    assert data(text)["c"] == {"x": 1, "y": 2} == yaml.safe_load(text)["c"]


def test_a_merge_of_a_merge_brings_all_keys() -> None:
    text = "a: &a {x: 1, z: 0}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}"
    assert data(text)["c"] == {"x": 1, "y": 2, "z": 3} == yaml.safe_load(text)["c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "a.yml:3:1: duplicate key 'a', first given in line 1"),
        ("a: {x: 1, x: 1}", "a.yml:1:11: duplicate key 'x', first given in line 1"),
        ("a:\n\tb: 1", "a.yml:2:1: is not YAML: found character '\\t' that cannot start any token; indent with spaces"),
        ("a: [1, 2", "a.yml:1:9: is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "a.yml:1:5: is not YAML: mapping values are not allowed here"),
        ("a: *b", "a.yml:1:4: is not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2", "a.yml:2:1: is not YAML: but found another document"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "a.yml:1:4: the tag !!python/object/apply:os.system is not allowed",
        ),
        ("a: !!python/name:os.system ''", "a.yml:1:4: the tag !!python/name:os.system is not allowed"),
        ("a: !mine {b: 1}", "a.yml:1:4: the tag !mine is not allowed"),
        ("a: !!set {b}", "a.yml:1:4: the tag !!set is not allowed"),
        ("a: !!binary aGk=", "a.yml:1:4: the tag !!binary is not allowed"),
        ("a: !!float many", "a.yml:1:4: 'many' is not a number"),
        ("? [a, b]\n: 1", "a.yml:1:3: a key must be plain text, not a list or a mapping"),
        ("a: &x [*x]", "a.yml:1:4: an anchor contains itself"),
        ("a: &x\n  <<: *x", "a.yml:1:4: an anchor contains itself"),
        ("a:\n  <<: 3", "a.yml:2:7: expected a mapping or a list of mappings after `<<`"),
        ("a: 1\nb: \x07", "a.yml:2:4: contains the unprintable character"),
        ("[" * 2000, "a.yml:1:1077: is nested too deeply"),
    ],
)
def test_text_that_is_not_plain_yaml_is_refused_with_its_line(text: str, expected: str) -> None:
    assert message(text).startswith(expected)
    assert "\n" not in message(text)


@pytest.mark.parametrize("opening", ["[*x{0}, *x{0}]", "{{<<: [*x{0}, *x{0}]}}"])
def test_aliases_that_expand_to_too_many_values_are_refused(opening: str) -> None:
    lines = ["- &x0 {a: 1}", *(f"- &x{n + 1} " + opening.format(n) for n in range(40))]
    assert message("\n".join(lines)).endswith("the aliases of the file expand to more than 20000 values")


def test_a_missing_file_is_reported_with_the_closest_name(folder: Path) -> None:
    (folder / "ppo.yml").touch()
    with pytest.raises(PlacedError, match=r"^pppo\.yml: does not exist, did you mean ppo\.yml\?$"):
        read_text(Path("pppo.yml"))


def test_a_file_in_a_missing_folder_is_missing(folder: Path) -> None:
    with pytest.raises(PlacedError, match=r"^nowhere/ppo\.yml: does not exist$"):
        read_text(Path("nowhere/ppo.yml"))


def test_text_of_a_file_cannot_break_a_message_into_lines() -> None:
    root = parse_document('"a\\nb\\0": 1', "a.yml").root
    assert str(root["a\nb\0"].error("is \x1b[31m odd")) == "a.yml:1:1: a\\nb\\x00: is \\x1b[31m odd"


def test_a_folder_is_not_read(folder: Path) -> None:
    (folder / "a.yml").mkdir()
    with pytest.raises(PlacedError, match=r"^a\.yml: is a folder, expected a YAML file$"):
        read_text(Path("a.yml"))


def test_the_place_of_a_byte_that_is_not_utf_8_is_named(folder: Path) -> None:
    (folder / "a.yml").write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(PlacedError, match=r"^a\.yml:2:7: is not UTF-8 text \(byte 0xe9\); save it as UTF-8$"):
        read_text(Path("a.yml"))


@pytest.mark.parametrize("name", ["a.yml/b.yml", "x" * 300, "nul\0.yml"])
def test_a_path_that_cannot_be_read_gives_one_line(folder: Path, name: str) -> None:
    (folder / "a.yml").touch()
    with pytest.raises(PlacedError, match="cannot be read"):
        read_text(Path(name))


def test_a_byte_order_mark_is_removed(folder: Path) -> None:
    (folder / "a.yml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_text(Path("a.yml")) == "a: 1"
