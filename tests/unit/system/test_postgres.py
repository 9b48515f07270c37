"""Where the certificate authorities of a store's server are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.system import postgres
from campaign.system.postgres import store_address

URL = "postgresql://campaign@db.example.com/campaign"


def authorities(url: str = URL) -> object:
    found = store_address(url).parameters
    assert found["sslmode"] == "verify-full"
    return found["sslrootcert"]


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one file of authorities on this machine; there is none yet."""
    file = tmp_path / "all.pem"
    paths = type("Paths", (), {"cafile": None})
    monkeypatch.setattr(postgres.ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(postgres, "AUTHORITIES", ("/nonexistent/bundle.pem", str(file)))
    return file


def test_the_systems_authorities_are_named_by_their_file_as_the_library_would_not_find_them(known: Path) -> None:
    known.touch()
    assert authorities() == str(known)


def test_without_such_a_file_the_library_looks_itself(known: Path) -> None:
    assert authorities() == "system"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_of_the_environment_come_first(name: str, known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known.touch()
    monkeypatch.setenv(name, "/etc/of/ours")
    assert authorities() == "system"  # by which the library reads the variable


def test_an_authority_of_ones_own_comes_before_all(known: Path) -> None:
    known.touch()
    assert authorities(f"{URL}?sslrootcert=/etc/ssl/our-ca.pem") == "/etc/ssl/our-ca.pem"
