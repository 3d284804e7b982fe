"""Report as one HTML file: the verdict in sentences, then the evidence, with all figures and tables inside."""

from harness.analysis.page.content import PageInput
from harness.analysis.page.render import render_page

__all__ = ["PageInput", "render_page"]
