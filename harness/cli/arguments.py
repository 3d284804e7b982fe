"""Arguments and options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import HarnessError

__all__ = [
    "Address",
    "Check",
    "Config",
    "ExecutorName",
    "JsonProgress",
    "MemoryLimit",
    "OpenPage",
    "Out",
    "Place",
    "Retries",
    "StallLimit",
    "StorageOption",
    "TimeLimit",
    "Trust",
    "Workers",
    "open_page",
]

Config = Annotated[
    Path, typer.Argument(help="Configuration file of the experiment, such as configs/compare.yml.", metavar="CONFIG")
]


Workers = Annotated[
    int | None, typer.Option("--workers", "-j", min=1, help="Number of runs in parallel. Default: one per core.")
]


Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", help="Package that the experiment may import; can be given several times.", metavar="PACKAGE"
    ),
]


Check = Annotated[
    bool,
    typer.Option("--check/--no-check", help="Try environments and algorithms out first, for a few steps."),
]


Out = Annotated[Path | None, typer.Option("--out", help="Folder for the results. Default: results/NAME.")]


OpenPage = Annotated[bool, typer.Option("--open", help="Open the page report.html in a browser.")]


Retries = Annotated[int | None, typer.Option(min=0, help="Times that a failed run is started again. Default: 0.")]


TimeLimit = Annotated[
    str | None,
    typer.Option(help="Time of a run, as 90, 30m or 2h. Default: an hour, and a second for each environment step."),
]


StallLimit = Annotated[
    str | None, typer.Option(help="Time of a run without any step of an environment or other progress. Default: 30m.")
]


MemoryLimit = Annotated[
    str | None, typer.Option(help="Memory of a run with its child processes, as 800M or 4G. Default: no limit.")
]


ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where runs are executed: `local`, processes of this machine, or `ray`, a Ray cluster.",
        metavar="NAME",
    ),
]


Address = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of the Ray cluster's head. Default: the cluster of this machine.", metavar="ADDRESS"),
]


StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Folder that all machines of the cluster share, or its URL for fsspec, such as s3://bucket/folder.",
        metavar="PLACE",
    ),
]


JsonProgress = Annotated[
    bool, typer.Option("--json-progress", help="Print a JSON object per event on stdout, and all else on stderr.")
]


@dataclass(frozen=True)
class Place:
    """Executor of a command with the settings of its cluster; wrong usage raises BadParameter when it is made."""

    executor: str
    address: str | None
    storage: str | None

    def __post_init__(self) -> None:
        from harness.execution import check_executor

        try:
            check_executor(self.executor, address=self.address, storage=self.storage)
        except HarnessError as error:
            raise typer.BadParameter(str(error)) from None


def open_page(page: Path) -> None:
    """Open a page in the user's browser; print a note if there is none."""
    import webbrowser

    if not (page.exists() and webbrowser.open(page.resolve().as_uri())):
        print(f"note: no browser could be started; open {page} in one")  # noqa: T201
