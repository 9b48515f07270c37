"""The tests' own browser: whatever Chromium or Chrome is there works, or they are skipped and say why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.servers import browser

TESTS = Path(__file__).parents[1]
#: A desktop's browser: no window without a display, and one process a profile.
DESKTOP = """case "$*" in *--headless*--user-data-dir=*) echo '<body data-dark="true">' ;;
*) echo "Missing X server or \\$DISPLAY" >&2; exit 1 ;; esac"""
BROKEN = "echo 'first line' >&2; echo 'Command requires the chromium snap to be installed.' >&2; exit 1"
BLIND = "echo '<body>'"  # what is confined to its own folders shows an error page instead of ours


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a program of this name that does this, beside nothing else."""
    monkeypatch.setattr(browser, "PROGRAMS", [one for one in browser.PROGRAMS if "/" not in one])
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(name: str, does: str) -> str:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
        return str(program)

    return install


def taken() -> str:
    """The browser that is taken, or why none is: a test of this module is never skipped itself."""
    try:
        return browser.needed()
    except pytest.skip.Exception as skipped:
        return str(skipped)


@pytest.mark.parametrize("name", ["chromium", "google-chrome", "chromium-headless-shell"])
def test_a_desktop_browser_is_started_without_a_window_and_with_a_profile_of_its_own(installed, name):
    program = installed(name, DESKTOP)
    assert taken() == program


def test_a_browser_that_does_not_work_is_passed_over_for_one_that_does(installed):
    installed("chromium", BROKEN)
    installed("chromium-browser", BLIND)
    program = installed("google-chrome", DESKTOP)
    assert taken() == program


def test_where_no_browser_works_the_tests_are_skipped_with_the_reason_of_each(installed):
    broken, blind = installed("chromium", BROKEN), installed("google-chrome", BLIND)
    reason = taken()
    assert f"{broken}: exit 1, Command requires the chromium snap to be installed." in reason
    assert f"{blind}: it does not show a page of ours" in reason
    assert "apt-get install chromium-headless-shell" in reason


def test_a_machine_without_a_browser_is_told_so(installed):
    assert "none is installed" in taken()


def test_only_one_module_of_the_tests_names_and_starts_a_browser():
    naming = re.compile(r"[\"'](?:chromium|google-chrome)")
    found = {path.name for path in TESTS.rglob("*.py") if naming.search(path.read_text("utf-8"))}
    assert found == {"browser.py", "test_browsers.py"}
