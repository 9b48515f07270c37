"""Whatever this program names has one explanation, the one that the docs have, and it stands by itself."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from campaign.config.loading import CampaignFile
from campaign.exit_codes import ExitCode
from campaign.explain.campaign_keys import campaign_keys
from campaign.explain.explanation import FILE, Explanation, explanations
from campaign.explain.find_explanation import find_explanations
from campaign.model import Screened, Verdict

ROOT = Path(__file__).parents[3]


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_explanations", ROOT / "docs" / "make_explanations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named(kind: str) -> set[str]:
    return {one.name for one in explanations() if one.kind == kind}


def keys(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        yield key, field.description or ""
        for nested in models_in(field.annotation):
            yield from keys(nested, f"{key}.")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in getattr(annotation, "__args__", ()):
        yield from models_in(one)


def test_the_explanations_are_what_their_script_makes_of_the_docs() -> None:
    assert FILE.read_text(encoding="utf-8") == maker().all_explanations(), "run: python docs/make_explanations.py"


def test_every_verdict_exit_code_and_reason_to_set_a_row_aside_is_explained() -> None:
    assert named("verdict") == {one.value for one in Verdict}
    assert named("screened") == {one.value for one in Screened}
    assert named("exit code") == {str(int(one)) for one in ExitCode}
    assert {"spf-missing", "unrenderable"} <= named("finding")


def test_every_row_about_messages_is_there() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `+(.+?)`+ \| [\d, ]*\|", page.partition("## By message")[2], re.MULTILINE)
    assert len(listed) > 200
    assert set(listed) <= named("message")


def test_every_key_is_explained_by_its_description() -> None:
    told = {path: one.means for path, one in campaign_keys().items() if one.kind == "key"}
    expected = dict(keys(CampaignFile))
    assert told == {path: means for path, means in expected.items() if "." in path}
    assert [path for path, one in campaign_keys().items() if one.kind == "section"] == list(CampaignFile.model_fields)


@pytest.mark.parametrize("one", explanations(), ids=lambda one: one.name)
def test_whatever_is_explained_is_found_by_its_name_or_as_it_is_printed(one: Explanation) -> None:
    found = find_explanations(one.name.replace("…", "runs/gazette"))
    assert one in found
    assert one == found[0] or one.kind not in {"message", "symptom"}


@pytest.mark.parametrize("one", explanations(), ids=lambda one: one.name)
def test_an_explanation_stands_without_the_row_above_it(one: Explanation) -> None:
    assert one.means or one.remedy
    if one.kind not in {"message", "symptom"}:  # of these, "it" is what is seen
        assert not re.match(r"(it|its|they)\b", one.means)
    for text in (one.means, one.remedy):
        assert not re.match(r"the same(?=$|[,;])", text)
        assert "](" not in text
        assert "\\|" not in text


def test_a_row_of_the_docs_becomes_plain_text() -> None:
    plain = maker().plain_text
    assert (
        plain("see [guide, 4](guide.md#4-when), or [here](#above)", "check.md")
        == "see guide, 4 (docs/guide.md), or here"
    )
    assert plain("[deploy](../deploy/README.md) and *all*", "check.md") == "deploy (deploy/README.md) and all"
    assert plain(r"`*\|NAME\|*` or `a*b`", "check.md") == "`*|NAME|*` or `a*b`"


@pytest.mark.parametrize(
    ("path", "form", "default", "variable"),
    [
        ("delivery.rate", "a rate such as '50/s', '1000/h' or '100000/day', or a list of these", "", "DELIVERY__RATE"),
        ("delivery.connections", "a whole number from 1 to 1000", "20", "DELIVERY__CONNECTIONS"),
        ("delivery.stop_share", "a number above 0 to 1", "0.1", "DELIVERY__STOP_SHARE"),
        ("delivery.letters_per_connection", "a whole number from 1 up", "500", "DELIVERY__LETTERS_PER_CONNECTION"),
        ("delivery.processes", '"auto", or a whole number from 1 to 64', "1", "DELIVERY__PROCESSES"),
        ("delivery.oauth.provider", '"google" or "microsoft"', "none: it is required", "DELIVERY__OAUTH__PROVIDER"),
        ("delivery.relay.weight", "a number from 0 to 1e+06", "none: it is required", ""),
        ("compose.inline_css", "true or false", "true", "COMPOSE__INLINE_CSS"),
        ("compose.headers", "a table of which each value is text", "", "COMPOSE__HEADERS"),
        ("compose.attachments", "a list of which each item is text", "", "COMPOSE__ATTACHMENTS"),
        ("campaign.from", "text", "none: it is required", "CAMPAIGN__FROM"),
        ("campaign.not_after", "a time with its zone, such as 2026-11-24T08:00:00+01:00", "", "CAMPAIGN__NOT_AFTER"),
        ("feedback.source.url", "text", "none: it is required", ""),
        ("delivery.timeouts.dot", None, '"10m"', "DELIVERY__TIMEOUTS__DOT"),
    ],
)
def test_a_key_says_how_it_is_written(path: str, form: str | None, default: str, variable: str) -> None:
    one = campaign_keys()[path]
    assert form is None or one.form == form
    assert one.default == default
    assert one.variable == (f"CAMPAIGN__{variable}" if variable else "")


def test_the_facts_of_an_explanation_are_plain_values_without_empty_ones() -> None:
    one = Explanation("message", "All is well.", remedy="nothing", exit_codes=(75,))
    assert json.loads(json.dumps(one.facts())) == {
        "kind": "message",
        "name": "All is well.",
        "remedy": "nothing",
        "exit_codes": [75],
    }
