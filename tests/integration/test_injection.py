"""Nothing a row says can add a header, an address or a part, whichever interpreter writes and reads."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.compose.mime.file_parts import ResourceError, Resources
from campaign.config.compose import ComposeSection

SCRIPT = Path(__file__).with_name("injection.py")
ROOT = SCRIPT.parents[2]
_SPEC = importlib.util.spec_from_file_location("injection", SCRIPT)
injection = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(injection)


def interpreter(version):
    """Another CPython of this minor version that starts, or None."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"), reverse=True)
    for candidate in [*installed, shutil.which(f"python{version}")]:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return str(candidate)
    return None


def run_under(python):
    """What the script says under this interpreter, without anything installed."""
    done = subprocess.run(
        [python, "-B", "-s", str(SCRIPT)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_there_are_enough_payloads():
    assert len(injection.PAYLOADS) >= 400
    assert len(set(injection.PAYLOADS)) == len(injection.PAYLOADS)


@pytest.mark.parametrize("field", injection.FIELDS)
def test_no_payload_breaks_out_of_its_field(field):
    wrong = {payload: said for payload in injection.PAYLOADS if (said := injection.check(field, payload)[1])}
    assert wrong == {}


@pytest.mark.parametrize("field", ["subject", "custom", "name", "from", "reply_to"])
def test_everything_that_can_be_written_is_written(field):
    refused = [payload for payload in injection.PAYLOADS if injection.check(field, payload)[0]]
    longest = 10_000 if field in {"subject", "custom"} else 500
    assert all(injection.is_forbidden(one) or len(one.strip(" ")) > longest for one in refused)
    assert len(refused) < len(injection.PAYLOADS) / 2


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_other_interpreters_write_and_read_the_same(version):
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        pytest.skip(f"CPython {version} runs these tests: all payloads were checked in this process")
    python = interpreter(version)
    if python is None:
        pytest.skip(f"CPython {version} is not installed on this machine")
    report = run_under(python)
    assert report["failures"] == []
    assert report["checked"] == len(injection.FIELDS) * len(injection.PAYLOADS)


def test_the_check_finds_what_a_careless_writer_lets_through(monkeypatch):
    monkeypatch.setattr(injection, "encode_text", lambda name, value: value)
    monkeypatch.setattr(injection, "mailbox_header", lambda name, address: f"{name} <{address}>")
    found = {
        field: [one for one in injection.PAYLOADS if injection.check(field, one)[1]] for field in ("subject", "name")
    }
    assert any(one.startswith("=?utf-8?") for one in found["subject"])
    assert "Ada <x@evil.test>" in found["name"]
    assert len(found["subject"]) > 50
    assert len(found["name"]) > 50


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    (folder / "root").mkdir()
    (folder / "secret").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    (folder / "root" / "link.png").symlink_to(folder / "secret")
    return Resources(folder / "root", ComposeSection(subject="x"))


@pytest.mark.parametrize("way", ["image", "attachment"])
def test_no_payload_names_a_file_outside_the_root(resources, way):
    names = [*injection.PAYLOADS, "link.png", "../secret", "%2e%2e/secret", "x/../../secret", "file:///etc/passwd"]
    for name in names:
        with pytest.raises(ResourceError) as raised:
            resources.image(name, resources._root) if way == "image" else resources.attachment(name)
        assert raised.value.what.isprintable()
    assert resources.fingerprints() == {}
