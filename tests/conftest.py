"""What holds for all circles of tests.

Whatever installs from a package index runs only when asked for by name, and where ``CAMPAIGN_CI`` is set, a test whose
server is missing fails instead of being skipped.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

#: What no machine has to have: further interpreters, and what the tests themselves look for.
MAY_BE_MISSING = ("CPython", "systemd-analyze", "prometheus", "promtool", "Pushgateway")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: installs from a package index, or takes minutes; run with -m slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CAMPAIGN_CI") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if not any(word in reason for word in MAY_BE_MISSING):
            report.outcome = "failed"
            report.longrepr = f"CAMPAIGN_CI is set, so this may not be skipped: {reason}"
    return report
