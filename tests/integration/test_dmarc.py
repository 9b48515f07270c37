"""DMARC as RFC 9989 has it: the walk, the policy, alignment, and what is told; asked of a name server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from campaign.check.dns.dmarc import (
    aligned,
    dmarc_remarks,
    organizational_domain,
    policy_of,
    tags,
    tree_walk,
    walked_names,
)
from campaign.check.dns.resolver import Names, Unanswered
from tests.support.servers.dns_server import NameServer, name_server, text


@pytest.fixture
def server() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def names(server: NameServer) -> Names:
    return Names(server.server_address, patience=0.5)


def publish(server: NameServer, **records: str) -> None:
    """Records by the domain they stand for, dots written as two underscores."""
    for domain, record in records.items():
        server.zone[f"_dmarc.{domain.replace('__', '.')}", "TXT"] = text(record)


def told(names: Names, sender: str, envelope: str = "", *signing: str) -> list[tuple[str, str]]:
    return [(one.severity, one.code) for one in dmarc_remarks(names, sender, envelope or sender, signing)]


# -- the walk


def test_a_walk_asks_the_name_and_each_parent_down_to_the_top():
    assert list(walked_names("a.mail.example.com")) == ["a.mail.example.com", "mail.example.com", "example.com", "com"]


def test_a_walk_takes_at_most_eight_queries_however_long_the_name():
    long = "a.b.c.d.e.f.g.h.i.j.mail.example.com"
    assert list(walked_names(long)) == [long, *list(walked_names("g.h.i.j.mail.example.com"))]
    assert {len(list(walked_names("x." * labels + "com"))) for labels in range(6, 60)} == {7, 8}


def test_a_record_that_says_where_its_organisation_ends_ends_the_walk(server: NameServer, names: Names):
    publish(server, b__example__com="v=DMARC1; p=none; psd=n", example__com="v=DMARC1; p=reject")
    assert [record.domain for record in tree_walk(names, "a.b.example.com")] == ["b.example.com"]
    assert [name for name, _ in server.asked] == ["_dmarc.a.b.example.com", "_dmarc.b.example.com"]


def test_only_one_record_at_a_name_counts_and_only_one_that_begins_with_its_version(server: NameServer, names: Names):
    server.zone["_dmarc.a.example.com", "TXT"] = text("v=DMARC1; p=none", "v=DMARC1; p=reject")
    server.zone["_dmarc.example.com", "TXT"] = text("v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC10", "V = DMARC1 ;")
    assert [record.domain for record in tree_walk(names, "a.example.com")] == ["example.com"]


@pytest.mark.parametrize(
    ("domain", "records", "above"),
    [
        ("a.mail.example.com", {"mail__example__com": "", "example__com": ""}, "example.com"),
        ("a.mail.example.com", {"mail__example__com": "psd=n", "example__com": ""}, "mail.example.com"),
        ("a.mail.example.com", {"com": "psd=y"}, "example.com"),
        ("mail.giant.bank.example", {"giant__bank__example": "", "bank__example": "psd=y"}, "giant.bank.example"),
        ("mail.mega.bank.example", {"bank__example": "psd=y"}, "mega.bank.example"),
        ("bank.example", {"bank__example": "psd=y"}, "bank.example"),
        ("a.b.example.com", {}, "a.b.example.com"),
        ("a.b.c.d.e.f.g.h.i.j.k.example.com", {"example__com": ""}, "example.com"),
    ],
)
def test_the_organisation_is_what_the_walk_finds(
    domain: str, records: dict[str, str], above: str, server: NameServer, names: Names
):
    publish(server, **{at: f"v=DMARC1; p=none; {more}" for at, more in records.items()})
    assert organizational_domain(domain, tree_walk(names, domain)) == above


# -- the policy


@pytest.mark.parametrize(
    ("records", "tag", "policy"),
    [
        ({"a__example__com": "p=reject", "example__com": "p=none"}, "p", "reject"),
        ({"example__com": "p=reject"}, "p", "reject"),
        ({"example__com": "p=reject; sp=quarantine"}, "sp", "quarantine"),
        ({"example__com": "p=none; sp=none; np=reject"}, "sp", "none"),
        ({"com": "p=reject; np=none; psd=y"}, "p", "reject"),
        ({"a__example__com": "sp=reject"}, "p", "none"),
        ({"a__example__com": "p=reject; t=y"}, "p", "quarantine"),
        ({"a__example__com": "p=quarantine; t=y"}, "p", "none"),
        ({"a__example__com": "p=none; t=y"}, "p", "none"),
        ({"a__example__com": "p=reject; pct=1"}, "p", "reject"),
        ({"a__example__com": "p=sometimes; rua=mailto:x@example.com"}, "p", "none"),
        ({"a__example__com": "p=reject; sp=maybe; rua=mailto:x@example.com"}, "p", "none"),
    ],
)
def test_the_policy_is_the_names_own_or_that_for_names_below(
    records: dict[str, str], tag: str, policy: str, server: NameServer, names: Names
):
    publish(server, **{at: f"v=DMARC1; {more}" for at, more in records.items()})
    server.zone["a.example.com", "A"] = ["192.0.2.1"]
    found = policy_of(names, "a.example.com", tree_walk(names, "a.example.com"))
    assert found is not None
    assert found[1:] == (tag, policy)


@pytest.mark.parametrize(
    ("record", "tag", "policy"),
    [
        ("p=none; sp=quarantine; np=reject", "np", "reject"),
        ("p=none; sp=quarantine", "sp", "quarantine"),
        ("p=reject", "p", "reject"),
    ],
)
def test_a_name_that_does_not_exist_has_a_policy_of_its_own(
    record: str, tag: str, policy: str, server: NameServer, names: Names
):
    publish(server, example__com=f"v=DMARC1; {record}")
    found = policy_of(names, "a.example.com", tree_walk(names, "a.example.com"))
    assert found is not None
    assert found[1:] == (tag, policy)


def test_where_no_record_is_found_no_policy_holds(names: Names):
    assert policy_of(names, "example.com", tree_walk(names, "example.com")) is None


# -- alignment


@pytest.mark.parametrize(
    ("one", "other", "strict", "fits"),
    [
        ("bounces.example.com", "news.example.com", False, True),
        ("example.com", "news.example.com", False, True),
        ("bounces.example.com", "news.example.com", True, False),
        ("news.example.com", "news.example.com", True, True),
        ("example.net", "example.com", False, False),
        ("one.co.example", "two.co.example", False, False),
        ("mail.unit.example.com", "unit.example.com", False, True),
        ("unit.example.com", "example.com", False, False),
    ],
)
def test_domains_align_when_they_are_of_one_organisation(
    one: str, other: str, strict: bool, fits: bool, server: NameServer, names: Names
):
    publish(
        server, example__com="v=DMARC1; p=none", example__net="v=DMARC1", unit__example__com="v=DMARC1; p=none; psd=n"
    )
    assert aligned(names, one, other, strict=strict) is fits


def test_a_parent_without_a_record_does_not_align_with_what_is_below_it(server: NameServer, names: Names):
    publish(server, news__example__com="v=DMARC1; p=reject")
    assert told(names, "news.example.com", "example.com") == [("warning", "dmarc-alignment")]


# -- what is told


@pytest.mark.parametrize(
    ("record", "envelope", "signs", "found"),
    [
        ("v=DMARC1; p=none", "example.com", "", []),
        ("v=DMARC1; p=reject", "bounces.example.com", "", []),
        ("v=DMARC1; p=reject; aspf=s", "bounces.example.com", "", [("warning", "dmarc-alignment")]),
        ("v=DMARC1; p=none", "example.net", "", [("warning", "dmarc-alignment")]),
        ("v=DMARC1; p=none", "example.net", "example.net", [("warning", "dmarc-alignment")]),
        ("v=DMARC1; p=reject", "example.net", "example.net", [("error", "dmarc-alignment")]),
        ("v=DMARC1; p=quarantine; t=y", "example.net", "example.net", [("warning", "dmarc-alignment")]),
        ("v=DMARC1; p=reject", "example.net", "mail.example.com", []),
        ("v=DMARC1; p=reject; adkim=s", "example.net", "mail.example.com", [("error", "dmarc-alignment")]),
        ("v=DMARC1; rua=mailto:x@example.com", "example.com", "", [("warning", "dmarc-policy")]),
        ("v=DMARC1; p=reject; pct=50", "example.com", "", [("warning", "dmarc-policy")]),
        ("v=DMARC1; p=maybe", "example.com", "", [("error", "dmarc-broken")]),
        ("v=DMARC1; p=maybe; rua=mailto:x@example.com", "example.com", "", [("warning", "dmarc-broken")]),
        ("v=dmarc1; p=none", "example.com", "", [("error", "dmarc-broken")]),
        ("something else", "example.com", "", [("warning", "dmarc-missing")]),
    ],
)
def test_a_record_and_what_aligns_with_it_are_judged(
    record: str, envelope: str, signs: str, found: list[tuple[str, str]], server: NameServer, names: Names
):
    publish(server, example__com=record)
    assert told(names, "example.com", envelope, *([signs] if signs else [])) == found


def test_two_records_are_none(server: NameServer, names: Names):
    server.zone["_dmarc.example.com", "TXT"] = text("v=DMARC1; p=none", "v=DMARC1; p=reject")
    assert told(names, "example.com") == [("error", "dmarc-broken")]


def test_the_policy_for_names_below_is_what_an_alignment_is_told_with(server: NameServer, names: Names):
    publish(server, example__com="v=DMARC1; p=reject; sp=none")
    server.zone["news.example.com", "A"] = ["192.0.2.1"]
    (remark,) = dmarc_remarks(names, "News.example.com", "example.net", ["example.net"])
    assert (remark.severity, remark.where) == ("warning", "_dmarc.example.com")
    assert "the policy is none" in remark.message


def test_a_server_that_fails_anywhere_in_a_walk_leaves_it_open(server: NameServer, names: Names):
    publish(server, example__com="v=DMARC1; p=reject")
    server.zone["_dmarc.com", "TXT"] = "broken"
    with pytest.raises(Unanswered):
        dmarc_remarks(names, "example.com", "example.com", ())


def test_each_name_is_asked_for_once(server: NameServer, names: Names):
    publish(server, example__com="v=DMARC1; p=reject")
    dmarc_remarks(names, "a.example.com", "b.example.com", ("c.example.com",))
    assert len(server.asked) == len(set(server.asked))


def test_tags_are_read_as_receivers_read_them():
    assert tags("v=DMARC1; P = none;p=x; junk") == {"v": "DMARC1", "p": "none"}
