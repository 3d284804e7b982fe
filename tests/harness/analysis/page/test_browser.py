"""Page in a real browser: no errors or requests, sorting, filtering, phones, keyboard, print, accessibility."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
AXE = "axe-core@4.10.3"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        profile = tmp_path_factory.mktemp("profile")
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=ARGUMENTS, bypass_csp=False
        )
        yield context
        context.close()


@pytest.fixture
def tab(context: Any, page: Path) -> Iterator[Any]:
    """Open the page; fail after the test if it wrote to the console, raised, or asked for anything but itself."""
    tab, faults = context.new_page(), []
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    own = page.as_uri()
    tab.on("request", lambda request: None if request.url.startswith((own, "data:")) else faults.append(request.url))
    tab.goto(own)
    yield tab
    tab.close()
    assert faults == []


def column(tab: Any, table: str, place: int) -> list[str]:
    found: list[str] = tab.locator(f"#table-{table} tbody tr td:nth-child({place})").all_text_contents()
    return found


def test_a_click_on_a_header_sorts_numbers_as_numbers_both_ways(tab: Any) -> None:
    header = tab.locator("#table-provenance th").nth(2)

    header.get_by_role("button").click()
    up = list(map(int, column(tab, "provenance", 3)))
    header.get_by_role("button").click()
    down = list(map(int, column(tab, "provenance", 3)))

    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert (up[0], down[0]) == (0, 59)
    assert header.get_attribute("aria-sort") == "descending"


def test_the_filter_searches_rows_that_are_not_shown_and_says_how_many(tab: Any) -> None:
    grid = tab.locator("#provenance [data-grid]")
    assert "75 rows, 1 to 50 shown" in grid.get_by_role("status").text_content()

    grid.get_by_role("searchbox").fill("custom_ppo finished")

    assert set(column(tab, "provenance", 1)) == {"custom_ppo"}
    assert grid.get_by_role("status").text_content() == "5 of 75 rows"
    grid.get_by_role("searchbox").press("Escape")
    grid.get_by_role("button", name="Next").click()
    assert "51 to 75 shown" in grid.get_by_role("status").text_content()


def test_the_keyboard_reaches_and_works_everything(tab: Any) -> None:
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#verdict"

    tab.locator("#table-summary th button").first.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#table-summary th").first.get_attribute("aria-sort") == "ascending"
    summary = tab.locator("#performance details summary").last
    summary.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#performance details").last.get_attribute("open") is not None


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_nothing_overflows_at_any_width(tab: Any, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})

    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_print_shows_whole_tables_and_folded_evidence_without_tools(tab: Any, tmp_path: Path) -> None:
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert len(column(tab, "provenance", 1)) == 75
    assert tab.locator(".sentences details").first.get_attribute("open") is not None
    assert not tab.locator(".tools").first.is_visible()
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(column(tab, "provenance", 1)) == 50


def test_names_stay_text_in_rows_that_the_script_adds(tab: Any) -> None:
    tab.locator("#provenance").get_by_role("button", name="Next").click()

    assert tab.locator("#table-provenance script").count() == 0
    assert any("<script>" in name for name in column(tab, "provenance", 1))


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the source of axe-core, fetched from the registry of npm; its licence is not this project's."""
    folder = tmp_path_factory.mktemp("axe")
    if shutil.which("npm") is None:
        pytest.skip("there is no npm to fetch axe-core with")
    command = ["npm", "pack", AXE, "--silent"]
    environment = {**os.environ, "npm_config_fetch_retries": "0"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("axe-core could not be fetched within a minute")
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        pytest.skip("axe-core cannot be fetched here")
    shutil.unpack_archive(archives[0], folder)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(tab: Any, axe: str, scheme: str) -> None:
    tab.emulate_media(color_scheme=scheme)
    # evaluate() is the debugger's, which the policy of the page does not bind.
    tab.evaluate(axe)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

    found = tab.evaluate("axe.run()")

    assert [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20
