from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.analysis.tables.latex import latex

HEADER = ("algorithm", "p (Holm)", "first − second", "because")
ROWS = [
    ("custom_ppo", "<0.0001", "−3.1 [−4, −2]", "50% & more; \\textbf{x} $1 #2 ~a^b"),
    ("[a]", "–", "∞", 'says "no" | ±5 ≤ 6'),
]


def test_a_table_has_the_rules_of_booktabs_and_a_row_for_each_row() -> None:
    lines = latex(HEADER, ROWS).splitlines()

    assert lines[0] == r"\begin{tabular}{lrll}"
    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert lines[-1] == r"\end{tabular}"
    cells = [re.split(r"(?<!\\)&", line) for line in lines if line.endswith(r"\\")]
    assert [len(row) for row in cells] == [4, 4, 4]


def test_every_special_character_is_escaped() -> None:
    text = latex(HEADER, ROWS)

    assert (
        r"custom\_ppo & \textless{}0.0001 & $-$3.1 {[}$-$4, $-$2{]} & 50\% \& more; \textbackslash{}textbf\{x\}" in text
    )
    assert r"\$1 \#2 \textasciitilde{}a\textasciicircum{}b" in text
    assert r"{[}a{]} & -- & $\infty$ & says \textquotedbl{}no\textquotedbl{} \textbar{} $\pm$5 $\leq$ 6 \\" in text
    assert text.isascii()


def test_many_rows_become_a_table_of_several_pages() -> None:
    lines = latex(["n"], [[str(n)] for n in range(41)]).splitlines()

    assert lines[0] == r"\begin{longtable}{r}"
    assert r"\midrule\endhead" in lines


def test_a_table_without_rows_is_one_of_its_header() -> None:
    assert latex(HEADER, []).count(r"\\") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_table_compiles(tmp_path: Path) -> None:
    text = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,textcomp,longtable}\begin{document}"
    (tmp_path / "a.tex").write_text(text + latex(HEADER, ROWS) + r"\end{document}")

    done = subprocess.run(["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 0, done.stdout
