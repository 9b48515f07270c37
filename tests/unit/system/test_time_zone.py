"""What the machine's time zone is called."""

import pytest

from campaign.system.time_zone import time_zone


@pytest.mark.parametrize(
    ("environment", "zone"),
    [("Asia/Tokyo", "Asia/Tokyo"), (":Europe/Berlin", "Europe/Berlin"), ("/usr/share/zoneinfo/Asia/Oral", "Asia/Oral")],
)
def test_the_environment_names_the_zone(environment, zone):
    assert time_zone(environment) == zone


def test_without_it_the_machine_does(tmp_path):
    zone = tmp_path / "zoneinfo" / "Europe" / "Paris"
    zone.parent.mkdir(parents=True)
    zone.touch()
    (tmp_path / "localtime").symlink_to(zone)
    assert time_zone("", tmp_path / "localtime") == "Europe/Paris"


def test_a_zone_without_a_name_counts_as_utc(tmp_path):
    (tmp_path / "localtime").touch()
    assert time_zone("", tmp_path / "localtime") == "UTC"
    assert time_zone("", tmp_path / "missing") == "UTC"
