from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.page.grids import FIRST_ROWS, MOST_ROWS, grid
from harness.analysis.page.render import note_blocks
from harness.analysis.page.repeats import find_copies
from harness.analysis.page.sentences import verdict_sentences
from tests.harness.analysis.page.conftest import HOSTILE, MESSAGE, write_page

ROOT = Path(__file__).parents[4]
VOID = {"meta", "link", "img", "input", "br", "hr"}


class Document(HTMLParser):
    """Elements, attributes and text of a page; an element that is closed out of order is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.json: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        self.is_json = tag == "script" and ("type", "application/json") in attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            if self.is_json:
                self.json.append(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, own, value in self.attributes if own == name]


@pytest.fixture(scope="session")
def document(page: Path) -> Document:
    return Document(page.read_text(encoding="utf-8"))


def test_every_element_is_closed_and_no_id_is_used_twice(document: Document) -> None:
    ids = document.values("id")

    assert document.open == []
    assert len(ids) == len(set(ids))
    assert {target[1:] for target in document.values("href") if target.startswith("#")} <= set(ids)


def test_names_and_messages_are_text_and_never_elements(document: Document) -> None:
    text = "".join(document.text)

    assert HOSTILE in text
    assert MESSAGE in text
    assert not [value for _, name, value in document.attributes if name.startswith("on")]
    scripts = document.tags.count("script")
    assert scripts == 1 + len(document.json)
    assert [cell for rows in map(json.loads, document.json) for row in rows for cell in row if HOSTILE in cell]


def test_the_page_loads_nothing(document: Document) -> None:
    loaded = [value for tag, name, value in document.attributes if name == "src" or (tag, name) == ("link", "href")]

    assert loaded
    assert all(value.startswith("data:") for value in loaded)
    policy = next(value for value in document.values("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe-inline'; script-src 'sha256-" in policy


def test_the_verdict_stands_before_the_evidence_in_a_reviewers_order(document: Document) -> None:
    sections = [value for tag, name, value in document.attributes if (tag, name) == ("section", "id")]

    assert sections == [
        *("verdict", "compared", "logs", "performance", "stability", "parity", "failed", "seeds", "inconclusive"),
        *("task", "threshold", "effects", "self-test", "methods", "provenance"),
    ]  # fmt: skip
    text = " ".join("".join(document.text).split())
    assert (
        "custom_ppo is identical to ppo on CartPole-v1: the trained parameters are bit-equal for all 5 seeds." in text
    )
    assert "All that is said of custom_ppo here holds for ppo, too" in text
    assert "2 of 75 runs failed" in text


def test_the_same_runs_give_the_same_bytes(page: Path, results_folder: Path, tmp_path: Path) -> None:
    assert write_page(results_folder, tmp_path).read_bytes() == page.read_bytes()


def test_a_report_is_written_without_torch(results_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'stable_baselines3', 'gymnasium'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"sys.argv = ['harness', 'report', {str(results_folder / 'runs' / 'ppo')!r}, '--out', {str(tmp_path)!r}]\n"
        "from harness.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report.html").exists()
    assert "report.html" in done.stdout


def pairwise(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["env", "first", "second", "verdict"])
    return table.assign(
        n_first=10, difference=5.0, difference_low=1.0, difference_high=9.0, reason="permutation test p = 0.01"
    )


def test_a_pair_is_told_once_for_all_environments_with_its_outcome() -> None:
    table = pairwise(*[(env, "x", "y", outcome) for env, outcome in (("A", "better"), ("B", "better"), ("C", "worse"))])

    sentences = [sentence.text for sentence in verdict_sentences(table, find_copies(table))]

    assert sentences == [
        "x is better than y on 2 of 3 environments (A, B).",
        "x is worse than y on 1 of 3 environments (C).",
    ]


def test_what_holds_for_an_algorithm_is_not_repeated_for_its_copy() -> None:
    table = pairwise(("A", "x", "copy", "identical"), ("A", "x", "y", "better"), ("A", "copy", "y", "better"))

    copies = find_copies(table)

    assert copies.everywhere == {"copy": "x"}
    assert copies.without_repeats(table)[["first", "second"]].to_numpy().tolist() == [["x", "copy"], ["x", "y"]]
    assert list(copies.without_repeats(table.iloc[:0]).columns) == list(table.columns)


def test_many_pairs_have_a_sentence_for_each_leading_algorithm() -> None:
    names = [f"a{place:02d}" for place in range(20)]
    table = pairwise(*[("A", x, y, "better") for place, x in enumerate(names) for y in names[place + 1 :]])

    sentences = verdict_sentences(table, find_copies(table))

    assert sentences[0].text == "a00: better in 19 of its 19 comparisons."
    assert sentences[1].text == "a01: better in 18, worse in 1 of its 19 comparisons."
    assert sentences[-1].text == "8 more algorithms win less; the table of performance has them."


def test_a_table_of_any_length_has_a_bounded_part_in_the_page() -> None:
    table = grid("runs", "Runs", ["number"], [[str(n)] for n in range(20_000)])

    assert (len(table.first), len(table.first) + len(table.rest), table.total) == (FIRST_ROWS, MOST_ROWS, 20_000)


def test_a_note_is_split_into_paragraphs_lists_and_tables() -> None:
    blocks = list(note_blocks("One.\ntwo.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n- y"))

    assert [block.kind for block in blocks] == ["paragraph", "table", "list"]
    assert blocks[0].text == "One. two."
    assert blocks[1].rows == (("a", "b"), ("1", "2"))
    assert blocks[2].rows == (("x",), ("y",))
