"""What a bounce means for the address: whose fault it is, and of which class."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.delivery.replies.bounce_meaning import OUR_FAULT, bounce_meaning
from campaign.delivery.replies.classify import BOUNCED, Rules, Stage
from campaign.delivery.replies.rule_parser import MEANINGS, pattern
from campaign.errors import ConfigError
from campaign.model import FeedbackOutcome, Reply

RULES = Rules.load()
HARD, SOFT, OURS = FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.NOT_THEIR_FAULT

# (code, enhanced, text, what the report itself says, outcome, class)
TABLE: list[tuple[int, str, str, bool | None, FeedbackOutcome, str]] = [
    # nobody there
    (550, "5.1.1", "550 5.1.1 <a@example.org>... User Unknown", True, HARD, "no_such_user"),
    (550, "", "550 no such user here", True, HARD, "no_such_user"),
    (0, "5.1.1", "unknown user: a", True, HARD, "no_such_user"),
    (0, "", "The recipient name is not recognized", None, HARD, "no_such_user"),
    (0, "", "User a not listed in public Name & Address Book", None, HARD, "no_such_user"),
    (550, "5.1.0", "550 #5.1.0 Address rejected.", True, HARD, "no_such_user"),
    (550, "5.1.1", "550 5.1.1 Invalid recipient. OFR_416 [416]", True, HARD, "no_such_user"),
    (550, "", "550 Empfänger beispiel unbekannt", True, HARD, "no_such_user"),
    (0, "", "Le destinataire est inconnu", None, HARD, "no_such_user"),
    (0, "", "El usuario no existe", None, HARD, "no_such_user"),
    (550, "", "550 пользователь не найден", True, HARD, "no_such_user"),
    (0, "", "宛先が存在しません", None, HARD, "no_such_user"),
    (550, "", "550 收件人不存在", True, HARD, "no_such_user"),
    (550, "", "550 Absender: Benutzer unbekannt", True, SOFT, "other"),
    (551, "5.1.6", "551 not our customer", True, HARD, "no_such_user"),
    (550, "5.1.1", "550 5.1.1 user unknown (in reply to end of DATA command)", True, HARD, "no_such_user"),
    # no domain there
    (0, "5.4.4", "Host or domain name not found. Name service error: name=example.org", True, HARD, "no_such_domain"),
    (0, "4.0.0", "DNS type 'mx' lookup of example.org responded with code NXDOMAIN", False, HARD, "no_such_domain"),
    (0, "", "example.org: Domain does not exist", None, HARD, "no_such_domain"),
    (0, "", "Sorry, I couldn't find any host named mx.example.org. (#5.1.2)", None, HARD, "no_such_domain"),
    (550, "5.4.310", "550 5.4.310 DNS domain example.org does not exist", True, HARD, "no_such_domain"),
    (550, "5.1.10", "", True, HARD, "no_such_domain"),
    (0, "5.4.4", "", True, HARD, "no_such_domain"),
    # disabled, full, too late
    (550, "5.2.1", "550 5.2.1 The email account that you tried to reach is disabled.", True, HARD, "disabled"),
    (525, "5.7.13", "525 5.7.13 Recipient address rejected: User account disabled", True, SOFT, "disabled"),
    (552, "5.2.2", "552 5.2.2 mailbox full", True, SOFT, "full"),
    (552, "", "Das Postfach ist voll", True, SOFT, "full"),
    (0, "", "La boîte du destinataire est pleine", None, SOFT, "full"),
    (0, "", "Почтовый ящик получателя переполнен", None, SOFT, "full"),
    (0, "", "メールボックスの容量を超えています", None, SOFT, "full"),
    (0, "4.2.2", "Over quota", False, SOFT, "full"),
    (0, "", "User mailbox exceeds allowed size: a@example.org", None, SOFT, "full"),
    (0, "4.4.1", "connect to mx.example.org[192.0.2.1]:25: Connection timed out", False, SOFT, "expired"),
    (0, "", "retry timeout exceeded", None, SOFT, "expired"),
    (450, "4.1.1", "450 4.1.1 Recipient address rejected: User unknown in virtual alias table", False, SOFT, "expired"),
    (451, "", "451 try again", False, SOFT, "expired"),
    (0, "5.4.7", "", True, SOFT, "expired"),
    # called unknown, and perhaps only filtered
    (550, "", "550 Unknown user a@example.net (in reply to end of DATA command)", True, SOFT, "filtered"),
    (550, "5.2.0", "550 : User unknown", True, SOFT, "filtered"),
    # what and who we are
    (550, "5.7.1", "550 5.7.1 Message content rejected, UBE", True, OURS, "spam"),
    (554, "5.7.1", "554 5.7.1 Client host rejected: blocked using rbl.example.org", True, OURS, "blocked"),
    (571, "", "after initial connection: 571 No PTR Record found. Reverse DNS required", True, OURS, "blocked"),
    (550, "5.7.26", "550 5.7.26 Unauthenticated email is not accepted: DMARC policy", True, OURS, "authentication"),
    (554, "", "554 DMARC check failed", True, OURS, "authentication"),
    (553, "5.1.8", "553 5.1.8 Domain of sender address a@example.com does not exist", True, OURS, "configuration"),
    (550, "5.1.1", "550 5.1.1 <a@example.com> 192.0.2.1 has sent to too many recipients this hour", True, OURS, "rate"),
    (550, "", "550 your e-mail address is unknown here", True, OURS, "configuration"),
    (550, "5.1.1", "550 5.1.1 RCP-P2 Refused due to recipient preferences", True, OURS, "policy"),
    (552, "5.3.4", "552 5.3.4 Message too large", True, OURS, "too_big"),
    (550, "", "550 Virus Detected; Content Rejected", True, OURS, "content"),
    (554, "5.6.0", "554 5.6.0 no words for it", True, OURS, "content"),
    (500, "5.6.1", "500 5.6.1 Message content rejected", True, OURS, "content"),
    (554, "5.7.1", "554 5.7.1 Relay access denied", True, OURS, "relay_denied"),
    (0, "5.4.6", "554 5.4.6 Too many hops", True, OURS, "configuration"),
    (550, "5.7.1", "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", True, OURS, "policy"),
    (421, "4.7.0", "421 4.7.0 [TSS04] Messages temporarily deferred due to user complaints", False, OURS, "spam"),
    # nothing to go by
    (550, "", "550 Rejected", True, SOFT, "other"),
    (0, "", "", None, SOFT, "other"),
    (0, "", "", False, SOFT, "expired"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "enhanced", "text", "permanent", "outcome", "means"), TABLE)
def test_a_bounce_means(
    code: int, enhanced: str, text: str, permanent: bool | None, outcome: FeedbackOutcome, means: str
) -> None:
    assert bounce_meaning(RULES, Reply(code, enhanced, text), permanent) == (outcome, means)


def test_words_in_a_name_are_no_words_of_the_server() -> None:
    for host in ("host spam.example.org [192.0.2.1]", "host dmarc.example.org[2001:db8::1] said"):
        assert bounce_meaning(RULES, Reply(550, "5.1.1", f"{host}: 550 5.1.1 User unknown"), True)[0] is HARD
    for address in ("spam@example.org", "dmarc-virus@no-such-user.example.org"):
        assert bounce_meaning(RULES, Reply(550, "5.1.1", f"550 5.1.1 <{address}>: User unknown"), True)[0] is HARD
        assert bounce_meaning(RULES, Reply(550, "", f"550 <{address}> Rejected"), True)[0] is SOFT


@pytest.mark.parametrize(
    "text",
    [
        "550 IP address 192.0.2.1 not found in our list of partners",
        "550 your e-mail address is unknown here",
        "550 From address does not exist",
        "550 MAIL FROM domain does not exist",
        "550 return address invalid: user unknown",
        "550 Sender verify failed: no such user",
        "550 cannot find your hostname: host not found",
        "550 envelope from: address not found",
        "550 too many unknown recipients: user unknown",
        "550 domain does not exist in the DKIM signature",
        "550 client host not found",
        "554 Recipient no longer accepts mail from you",
    ],
)
@pytest.mark.parametrize("enhanced", ["", "5.0.0", "5.7.1"])
def test_what_is_unknown_about_us_says_nothing_about_the_address(text: str, enhanced: str) -> None:
    assert bounce_meaning(RULES, Reply(550, enhanced, text), True)[0] is not HARD


def test_the_recipients_domain_decides_where_a_rule_asks_for_it() -> None:
    reply = Reply(550, "", "550 Requested action not taken: mailbox unavailable")
    assert bounce_meaning(RULES, reply, True, "outlook.com") == (HARD, "no_such_user")
    assert bounce_meaning(RULES, reply, True, "example.org") == (SOFT, "other")


def test_a_rule_of_the_campaign_file_comes_first_and_says_what_it_means() -> None:
    rules = Rules.load([{"text": "sorry", "action": "reject", "means": "spam"}])
    assert bounce_meaning(rules, Reply(550, "5.1.1", "550 5.1.1 sorry"), True) == (OURS, "spam")
    rules = Rules.load([{"text": "sorry", "action": "suppress"}])
    assert bounce_meaning(rules, Reply(550, "", "550 sorry"), True) == (HARD, "other")


def test_an_unknown_class_is_named_with_what_was_meant() -> None:
    with pytest.raises(ConfigError, match="reply_rules") as caught:
        Rules.load([{"text": "sorry", "action": "reject", "means": "blokced"}])
    assert "did you mean 'blocked'?" in str(caught.value.evidence)


def test_every_rule_for_bounces_decides_some_row() -> None:
    names = {rule.name for rule in RULES.rules_for(BOUNCED)} - {rule.name for rule in RULES.rules_for()}
    idle = names - {
        RULES.decide_bounced(stage, Reply(code or 550, enhanced, text), domain).rule
        for code, enhanced, text, *_ in TABLE
        for stage in (Stage.RCPT, Stage.DOT)
        for domain in ("", "googlegroups.com")
    }
    assert not idle


def test_every_rule_has_a_class_of_its_own_choice() -> None:
    for rule in RULES.rules_for(BOUNCED):
        assert rule.means in MEANINGS
        assert (rule.means == "accepted") == (str(rule.action) == "accept"), rule.name
        for expression in (rule.enhanced, rule.text):
            assert expression is None or pattern(expression)
    assert OUR_FAULT < MEANINGS


def test_nothing_that_is_our_fault_suppresses() -> None:
    assert not [
        rule.name for rule in RULES.rules_for(BOUNCED) if str(rule.action) == "suppress" and rule.means in OUR_FAULT
    ]


@given(
    st.integers(0, 700),
    st.sampled_from(["", "4.2.2", "5.1.1", "5.7.26", "9.9.9"]),
    st.text(),
    st.sampled_from([None, True, False]),
)
def test_anything_at_all_is_judged(code: int, enhanced: str, text: str, permanent: bool | None) -> None:
    outcome, means = bounce_meaning(RULES, Reply(code, enhanced, text), permanent)
    assert outcome in (HARD, SOFT, OURS)
    assert means in MEANINGS


@pytest.mark.parametrize("piece", ["a", " ", "user ", "no such ", "host ", "-", "mailbox full exceed ", "no ptr "])
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (500 // len(piece))
    began = time.perf_counter()
    for code in (450, 550):
        bounce_meaning(RULES, Reply(code, "", text), None)
    assert time.perf_counter() - began < 0.2
