"""Sample output in the documentation is what its command prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.samples import PAGES, Sample, masked, printed, samples

SAMPLES = {sample.command: sample for page in PAGES for sample in samples(page)}


def test_every_page_has_a_sample_and_equal_commands_show_equal_output() -> None:
    found = [sample for page in PAGES for sample in samples(page)]
    assert {sample.page for sample in found} == {*PAGES}
    for sample in found:
        assert masked(sample.output) == masked(SAMPLES[sample.command].output)


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=lambda sample: sample.command)
def test_a_sample_is_what_its_command_prints(sample: Sample) -> None:
    assert masked(sample.output) == masked(printed(sample.command)), "made anew by: python -m tests.docs.samples"


def test_samples_are_blocks_that_begin_with_a_command(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\nmake compare\n```\n\n```\n$ harness bench\nfast (3 s)\n```\n")
    assert list(samples(page)) == [Sample(page, "harness bench", "fast (3 s)\n")]
    assert masked("fast (3 s)") == "fast (N s)"
