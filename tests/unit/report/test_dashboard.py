"""The dashboard and the alerts that ship: as Grafana and Prometheus want them, about numbers that are written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import heatmap, stat, table, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafana_foundation_sdk.models.prometheus import Dataquery
from prometheus_client.parser import text_string_to_metric_families

from campaign.exit_codes import ExitCode
from campaign.report.feedback.feedback_facts import FeedbackFacts
from campaign.report.telemetry.metrics import Snapshot, WorkerFigures, exposition

GRAFANA = Path(__file__).parents[3] / "deploy/grafana"
DASHBOARD = json.loads((GRAFANA / "campaign.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((GRAFANA / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
OPTIONS = {"stat": stat.Options, "timeseries": timeseries.Options, "heatmap": heatmap.Options, "table": table.Options}
FIELDS = {"timeseries": timeseries.FieldConfig, "heatmap": heatmap.FieldConfig}
#: What the plugin for Prometheus adds to an annotation and a variable; the dashboard's own model does not know it.
OF_THE_DATASOURCE = {
    ".annotations.list[1].step",
    ".annotations.list[1].titleFormat",
    ".annotations.list[1].useValueForTime",
    ".templating.list[1].definition",
}
#: What PromQL itself brings along.
WORDS = {"sum", "max", "by", "rate", "increase", "histogram_quantile", "time", "bool", "and", "or", "unless", "on"}


def round_trip(model: Any, data: dict[str, Any]) -> Any:
    return json.loads(json.dumps(model.from_json(data), cls=JSONEncoder))


def kept(given: Any, back: Any, at: str = "") -> Iterator[str]:
    """Paths of what is given and does not come back: keys that Grafana does not know."""
    if isinstance(given, dict) and isinstance(back, dict):
        for key, value in given.items():
            if value is not None:
                yield from kept(value, back[key], f"{at}.{key}") if key in back else [f"{at}.{key}"]
    elif isinstance(given, list) and isinstance(back, list):
        assert len(given) == len(back), at
        for number, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from kept(one, other, f"{at}[{number}]")
    elif given != back:
        yield at


def written() -> dict[str, dict[str, set[str]]]:
    """Every sample that a run writes: its name, its labels, their values."""
    numbers = Snapshot(
        "gazette", "2026-11", "R1", "1" * 32, 20.0, 10.0, 5, {"accepted": 5}, 1, {0.1: 5}, 0.2, 0,
        feedback=FeedbackFacts(0, 5),
        workers=WorkerFigures({"open": 2, "held": 1, "silent": 1, "finished": 3}, 2, 0.006),
    )  # fmt: skip
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(exposition(numbers)):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for one in DASHBOARD["annotations"]["list"]:
        if "expr" in one:
            yield one["name"], one["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


# -- what Grafana needs


def test_the_dashboard_is_one_that_grafana_knows_to_the_last_key() -> None:
    assert set(kept(DASHBOARD, round_trip(Dashboard, DASHBOARD))) == OF_THE_DATASOURCE


def test_a_key_that_grafana_does_not_know_would_be_found() -> None:
    wrong = json.loads(json.dumps(DASHBOARD))
    wrong["panels"][0]["gridpos"] = {}
    wrong["refreshs"] = "15s"
    strangers = set(kept(wrong, round_trip(Dashboard, wrong)))
    assert {".panels[0].gridpos", ".refreshs"} <= strangers


@pytest.mark.parametrize("title", PANELS)
def test_each_panel_has_options_and_queries_of_its_kind(title: str) -> None:
    panel = PANELS[title]
    assert list(kept(panel["options"], round_trip(OPTIONS[panel["type"]], panel["options"]))) == []
    if panel["type"] in FIELDS:
        custom = panel["fieldConfig"]["defaults"]["custom"]
        assert list(kept(custom, round_trip(FIELDS[panel["type"]], custom))) == []
    for target in panel["targets"]:
        assert list(kept(target, round_trip(Dataquery, target))) == []


@pytest.mark.parametrize("title", PANELS)
def test_each_panel_asks_the_datasource_that_the_reader_chose(title: str) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert PANELS[title]["datasource"] == chosen
    assert [target["datasource"] for target in PANELS[title]["targets"]] == [chosen] * len(PANELS[title]["targets"])
    assert PANELS[title]["description"]


def test_what_grafana_needs_of_the_whole_is_there() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert DASHBOARD["id"] is None  # Grafana gives it one
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("campaign", "Campaign")
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(PANELS) == len(DASHBOARD["panels"])
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "campaign"]
    for panel in DASHBOARD["panels"]:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    "about",
    [
        "Tally",
        "Accepted per second",
        "Deferred and rejected per second",
        "In doubt",
        "Send time",
        "Last success",
        "What came back",
        "Complaints and bounces, share",
        "Shards",
        "Workers",
        "Store append time",
    ],
)
def test_the_dashboard_shows_what_an_operator_looks_for(about: str) -> None:
    assert about in {panel["title"] for panel in DASHBOARD["panels"]}
    assert PANELS["Send time"]["type"] == "heatmap"


def test_every_exit_code_that_a_run_can_end_with_has_its_words() -> None:
    told = PANELS["Exit code"]["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert {int(code) for code in told} == {int(code) for code in ExitCode} - {ExitCode.USAGE, ExitCode.BAD_INPUT}


# -- only numbers that are really written


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_expression_names_a_metric_and_labels_that_a_run_writes(where: str, expression: str) -> None:
    metrics = written()
    bare = re.sub(r"label_values\((\w+), (\w+)\)", r"\1{\2=~'.*'}", expression)
    seen = 0
    for name, selector in re.findall(r"(campaign_\w+)(?:\{([^}]*)\})?", bare):
        labels = metrics[name]
        for label, operator, value in re.findall(r"(\w+)\s*(=~|=)\s*[\"']([^\"']*)[\"']", selector or ""):
            known = labels[label]
            if value != "$campaign" and operator == "=":
                assert value in known, f"{where}: no {label} {value!r}"
            elif operator == "=~" and value != ".*":
                assert set(value.split("|")) <= known, where
        seen += 1
    assert seen
    for clause in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        used = {label for name in re.findall(r"campaign_\w+", expression) for label in metrics[name]}
        assert {one.strip() for one in clause.split(",")} <= used, where


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_no_expression_holds_a_word_that_is_neither_a_metric_nor_promql(where: str, expression: str) -> None:
    bare = re.sub(
        r"\{[^}]*\}|\[[^]]*\]|\((?:le|outcome|campaign|kind|state)\)|label_values\(\w+, \w+\)", "", expression
    )
    words = set(re.findall(r"[A-Za-z_]\w*", bare))
    assert {word for word in words if not word.startswith("campaign_")} <= WORDS, where


@pytest.mark.parametrize(
    ("where", "expression"), [one for one in expressions() if "_total" in one[1] or "_bucket" in one[1]]
)
def test_counters_are_shown_by_their_growth(where: str, expression: str) -> None:
    for name in re.findall(r"campaign_\w+_(?:total|bucket)", expression):
        assert re.search(rf"(?:rate|increase)\({name}\b", expression), where


def test_a_word_that_is_no_metric_would_be_found() -> None:
    assert "campaign_in_doubts" not in written()
    assert math.inf in map(float, written()["campaign_send_seconds_bucket"]["le"])


def test_every_metric_with_its_labels_is_explained_and_none_that_is_not_there() -> None:
    page = (GRAFANA.parents[1] / "docs/observability.md").read_text(encoding="utf-8")
    rows = {
        cells[1]: set(re.findall(r"`(\w+)`", cells[2]))
        for cells in re.findall(r"^\|( `(campaign_\w+)`) \|([^|]*)\|", page, re.MULTILINE)
    }
    assert rows == {re.sub("_(bucket|count|sum)$", "", name): labels for name, labels in explained().items()}
    assert {rule["alert"] for rule in RULES} == set(re.findall(r"^\| `(Campaign\w+)`", page, re.MULTILINE))


def explained() -> dict[str, set[str]]:
    return {name: set(labels) for name, labels in written().items() if not name.endswith(("_count", "_sum"))}
