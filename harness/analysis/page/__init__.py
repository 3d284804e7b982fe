"""Report as one HTML file: the verdict in sentences, then the evidence, with all figures and tables inside."""

from harness.analysis.page.aggregates import without_copies
from harness.analysis.page.content import PageInput
from harness.analysis.page.render import render_page
from harness.analysis.page.repeats import find_copies

__all__ = ["PageInput", "find_copies", "render_page", "without_copies"]
