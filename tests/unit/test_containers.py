"""The files for clusters, Compose and images: valid by the schemas of those who read them, and true to this program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zoneinfo
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from kubernetes_validate import ValidationError, utils, validate

from campaign.cli.main import cli
from campaign.config import load
from campaign.delivery.relays.relay import parse_relay
from campaign.system.postgres import store_address

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (DEPLOY / "README.md").read_text(encoding="utf-8")
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
#: From 1.29 on: earlier schemas demand of a rule about exit codes that it names conditions, too.
RELEASES = [one for one in sorted({*utils.all_versions()}) if tuple(map(int, one.split(".")[:2])) >= (1, 29)]
BY_NAME = pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)


def pod_of(manifest: Path) -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(manifest.read_text())["spec"]
    pod: dict[str, Any] = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]
    return pod


def rules_of(manifest: Path) -> list[dict[str, Any]]:
    spec = yaml.safe_load(manifest.read_text())["spec"]
    rules: list[dict[str, Any]] = spec.get("jobTemplate", {"spec": spec})["spec"]["podFailurePolicy"]["rules"]
    return rules


def container_of(manifest: Path) -> dict[str, Any]:
    container: dict[str, Any]
    [container] = pod_of(manifest)["containers"]
    return container


def composed(text: str = "") -> dict[str, Any]:
    whole: dict[str, Any] = yaml.safe_load(text or (DEPLOY / "compose/compose.yaml").read_text())
    return whole


def schema_faults(schema: str, file: Path) -> str:
    """What the published schema of that name says against a file; nothing is fetched."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout if done.returncode else ""


@pytest.mark.parametrize("release", RELEASES)
@BY_NAME
def test_every_release_of_kubernetes_since_1_29_knows_each_field_of_the_manifests(manifest: Path, release: str) -> None:
    validate(yaml.safe_load(manifest.read_text()), release, strict=True)


@pytest.mark.parametrize(
    "field", ["parallelism", "podFailurePolicy", "onExitCodes", "restartPolicy", "valueFrom", "cpu"]
)
def test_a_misspelt_field_of_a_manifest_is_found(field: str) -> None:
    text = (DEPLOY / "kubernetes/workers.yaml").read_text()
    assert f"{field}:" in text
    planted = yaml.safe_load(text.replace(f"{field}:", f"{field[:-1]}:" if field != "cpu" else "cpu: [],"))
    with pytest.raises(ValidationError):
        validate(planted, RELEASES[-1], strict=True)


@BY_NAME
def test_a_manifest_keeps_the_rules_that_no_schema_has(manifest: Path) -> None:
    whole, pod, container = yaml.safe_load(manifest.read_text()), pod_of(manifest), container_of(manifest)
    assert len(whole["metadata"].get("name", "")) <= 52  # a job of a cron job has a longer name
    assert whole["spec"].get("timeZone", "UTC") in zoneinfo.available_timezones()
    assert pod["restartPolicy"] == "Never"  # else there may be no podFailurePolicy
    for rule in rules_of(manifest):
        codes = rule.get("onExitCodes", {"values": [], "containerName": container["name"]})
        assert codes["values"] == sorted(set(codes["values"]) - {0})
        assert codes["containerName"] == container["name"]
    mounted = [mount["name"] for mount in container.get("volumeMounts", [])]
    assert mounted == [volume["name"] for volume in pod.get("volumes", [])]


def test_the_page_makes_each_secret_that_a_manifest_asks_for_and_names_the_oldest_release() -> None:
    for manifest in MANIFESTS:
        given = [one["valueFrom"]["secretKeyRef"] for one in container_of(manifest)["env"] if "valueFrom" in one]
        assert {one["name"] for one in given} == {"gazette"}
        told = PAGE if manifest.stem == "workers" else (DEPLOY / "kubernetes/cronjob.yaml").read_text()
        [making] = re.findall(r"kubectl create secret generic gazette ((?:.*\\\n)?.*)", told)
        assert {one["key"] for one in given} <= set(re.findall(r"--from-file=([a-z-]+)=", making))
    assert "Kubernetes 1.29 or later" in PAGE
    job = yaml.safe_load((DEPLOY / "kubernetes/workers.yaml").read_text())
    [[name, value]] = job["spec"]["template"]["metadata"]["labels"].items()
    assert f"kubectl logs -l {name}={value} " in PAGE


def commands() -> list[Any]:
    found = {path.stem: container_of(path)["command"] for path in MANIFESTS}
    found["compose"] = composed()["services"]["campaign"]["command"]
    for image in DEPLOY.rglob("*[Cc]ontainerfile"):
        if begun := re.search(r'^CMD (\["campaign".*\])$', image.read_text(), re.MULTILINE):
            found[image.parent.name] = json.loads(begun[1])
    return [pytest.param(words, id=name) for name, words in found.items()]


@pytest.mark.parametrize("words", commands())
def test_the_command_of_a_container_is_one_of_this_program(words: list[str], tmp_path: Path) -> None:
    program, command, file, *options = words
    (tmp_path / "there.toml").touch()
    assert (program, file.endswith(".toml") or file.startswith("/campaign/${CAMPAIGN_FILE")) == ("campaign", True)
    found = cli.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    found.make_context(command, [str(tmp_path / "there.toml"), *options])  # refuses what it does not know


def variables() -> list[Any]:
    found = {
        path.stem: {one["name"]: one.get("value", "a secret") for one in container_of(path)["env"]}
        for path in MANIFESTS
    }
    found["compose"] = composed()["services"]["campaign"]["environment"]
    return [pytest.param(one, id=name) for name, one in found.items()]


@pytest.mark.parametrize("given", variables())
def test_each_variable_of_a_container_is_one_that_this_program_reads(
    given: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gazette.toml"
    file.write_text(
        '[campaign]\nname = "gazette"\nfrom = "news@example.com"\n[audience]\nsource = "list.csv"\naddress = "email"\n'
        '[compose]\nsubject = "x"\ntext = "x.txt"\n[delivery]\nrelay = "smtps://other.example.com"\n'
    )
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    load(file)  # a key that does not exist is an error
    code = "".join(path.read_text() for path in (ROOT / "campaign").rglob("*.py"))
    assert not [name for name in given if not name.startswith("CAMPAIGN__") and f'"{name}"' not in code]


@pytest.mark.parametrize(
    ("schema", "name"), [("compose-spec", "compose/compose.yaml"), ("github-workflows", "github/campaign.yml")]
)
def test_the_published_schema_knows_each_key_and_finds_a_misspelt_one(schema: str, name: str, tmp_path: Path) -> None:
    assert schema_faults(schema, DEPLOY / name) == ""
    planted = tmp_path / Path(name).name
    text = (DEPLOY / name).read_text()
    key = "stop_grace_period" if schema == "compose-spec" else "timeout-minutes"
    planted.write_text(text.replace(f"{key}:", f"{key}s:", 1))
    assert f"{key}s" in schema_faults(schema, planted)


def test_the_composed_workers_reach_store_and_relay_without_tls_and_are_not_started_again() -> None:
    services, workers = composed()["services"], composed()["services"]["campaign"]
    environment = workers["environment"]
    assert (workers["deploy"]["replicas"], workers["restart"], workers["stop_grace_period"]) == (4, "no", "60s")
    assert store_address(environment["CAMPAIGN__LEDGER__STORE"]).parameters["host"] == "/var/run/postgresql"
    assert "socket:/var/run/postgresql" in services["postgres"]["volumes"]
    assert "socket:/var/run/postgresql" in workers["volumes"]
    assert workers["network_mode"] == "service:relay"
    assert parse_relay(environment["CAMPAIGN__DELIVERY__RELAY"]).host == "127.0.0.1"
    mounted = {volume.partition(":")[0] for one in services.values() for volume in one["volumes"]}
    assert mounted - {"${CAMPAIGN_HOME"} == set(composed()["volumes"])
    assert set(workers["depends_on"]) == {"postgres", "relay"}


def test_the_store_is_healthy_only_once_its_last_server_runs() -> None:
    program, script = composed()["services"]["postgres"]["healthcheck"]["test"]
    process, _, answer = script.partition(" && ")
    words = answer.split()
    given = composed()["services"]["postgres"]["environment"]
    assert (program, process) == (
        "CMD-SHELL",
        "grep -qx postgres /proc/1/comm",
    )  # before that, it is the image's script
    assert words == ["pg_isready", "-q", "-U", given["POSTGRES_USER"], "-d", given["POSTGRES_DB"]]


def test_the_composed_relay_finds_domains_and_its_log_is_where_workers_read_it() -> None:
    relay, workers = composed()["services"]["relay"], composed()["services"]["campaign"]
    recipe = relay["build"]["dockerfile_inline"]
    assert "postconf -F '*/*/chroot=n'" in recipe  # a chroot without resolv.conf finds no domain
    log = re.search(r"maillog_file=(\S+)", recipe)
    assert log is not None
    assert f"log:{Path(log[1]).parent}" in relay["volumes"]
    assert f"log:{Path(log[1]).parent}:ro" in workers["volumes"]
    assert f"--accepted {log[1]}" in PAGE


def test_without_the_relay_and_the_lines_that_name_it_compose_still_knows_all(tmp_path: Path) -> None:
    lines = (DEPLOY / "compose/compose.yaml").read_text().splitlines()
    first, workers = lines.index("  relay:"), lines.index("  campaign:")
    naming = [at for at in range(workers, len(lines)) if "relay" in lines[at].partition("#")[0].lower()]
    assert len(naming) == 3  # as the file says
    left = tmp_path / "compose.yaml"
    left.write_text("\n".join(line for at, line in enumerate(lines) if at not in {*range(first, workers), *naming}))
    assert schema_faults("compose-spec", left) == ""
    assert "relay" not in str(composed(left.read_text())).lower()


def test_what_compose_asks_for_is_set_as_the_page_says() -> None:
    text = (DEPLOY / "compose/compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    for telling in (text, PAGE):
        assert asked == set(re.findall(r"(\w+)=", telling.partition("export ")[2].partition("\n")[0]))


@pytest.mark.parametrize(
    "line", sorted({*re.findall(r"^docker compose .* (campaign \w+ /campaign/.*?)(?: +#.*)?$", PAGE, re.MULTILINE)})
)
def test_each_command_of_the_page_in_a_container_is_one_of_this_program(line: str) -> None:
    _, command, *words = line.split()
    found = cli.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    found.make_parser(click.Context(found)).parse_args(words)  # refuses what it does not know


IMAGES = sorted({*DEPLOY.rglob("Containerfile"), *DEPLOY.rglob("Dockerfile")})


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.parent.name)
def test_an_image_is_built_from_files_that_exist_and_from_no_others_that_lie_beside_them(image: Path) -> None:
    recipe = image.read_text()
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", recipe, re.MULTILINE) for name in line.split()]
    assert {"campaign", "pyproject.toml", "constraints.txt"} <= set(copied)
    assert not [name for name in copied if not (ROOT / name).exists()]
    assert "." not in copied  # a secret, a list or an environment may lie there
    assert not re.search(r"^ADD ", recipe, re.MULTILINE)
    told = re.search(rf"-f {re.escape(str(image.relative_to(ROOT)))} -t [a-z-]+ \.$", recipe, re.MULTILINE)
    assert told is not None  # how it is built: in the folder of the source


def test_the_image_that_is_composed_is_that_of_the_page_and_has_extras_that_exist() -> None:
    build = composed()["services"]["campaign"]["build"]
    assert (DEPLOY / "compose" / build["context"]).resolve() == ROOT
    assert f"docker build -f {build['dockerfile']} -t campaign ." in PAGE
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for told in re.findall(r"EXTRAS=(\S+)", (ROOT / build["dockerfile"]).read_text()):
        assert {"postgresql", "imap", "metrics"} <= set(told.split(",")) <= set(extras)
