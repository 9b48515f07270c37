import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from campaign.system import process_name as product
from campaign.system.process_name import has_ended, placed_name, process_name, short_name


@pytest.fixture(autouse=True)
def _fresh_place() -> Iterator[None]:
    product._place.cache_clear()
    yield
    product._place.cache_clear()


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def name_of(process: object) -> str:
    """The name that a process of this machine would have, with its place."""
    host, _, rest, place = placed_name(process_name()).split(":")
    return f"{host}:{process}:{rest}:{place}"


def test_a_name_has_the_host_and_the_process_and_no_other_process_has_it() -> None:
    assert process_name().startswith(f"{socket.gethostname()}:{os.getpid()}:")
    assert process_name() != process_name()
    assert short_name(placed_name("mail-1:7:abc")) == "mail-1:7:abc"


def test_a_process_of_this_machine_whose_number_is_free_has_ended(ended: int) -> None:
    assert has_ended(name_of(ended))
    assert not has_ended(name_of(os.getpid()))


def test_of_a_process_of_another_user_it_is_known_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(product.os, "kill", refused)
    assert not has_ended(name_of(1))


def test_nothing_is_known_of_a_process_of_another_host_boot_or_container(
    ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = name_of(ended)
    place = name.rpartition(":")[2]
    assert not has_ended(name.replace(place, "0" * len(place)))
    assert not has_ended(f"other-{name}")
    monkeypatch.setattr(product, "boot_identity", lambda: "another boot")
    product._place.cache_clear()
    assert not has_ended(name)


@pytest.mark.parametrize("name", ["", "mail-1", "mail-1:7", "mail-1:7:abc"])
def test_nothing_is_known_by_a_name_without_a_place(name: str) -> None:
    assert not has_ended(name)


@pytest.mark.parametrize("process", ["", "x", "0", "9" * 30])
def test_nothing_is_known_by_a_name_without_a_process(process: str) -> None:
    assert not has_ended(name_of(process))


def test_a_system_that_does_not_say_which_boot_this_is_gives_no_place(
    ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "boot_identity", lambda: product.UNKNOWN)
    product._place.cache_clear()
    assert placed_name("mail-1:7:abc") == "mail-1:7:abc"
    assert not has_ended(f"{socket.gethostname()}:{ended}:abc:")
