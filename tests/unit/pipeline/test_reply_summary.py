"""What relays answered, folded by meaning and told with advice."""

from campaign.delivery.replies.classify import Rules
from campaign.ledger.journal.journal_records import VerdictRecord
from campaign.pipeline.finish.reply_summary import MOST_KINDS, Refusals

RULES = Rules.load()


def told(*records: VerdictRecord):
    refusals = Refusals()
    for record in records:
        refusals.add(record)
    return refusals.top(RULES, 25)


def refused(number: int, reason: str, *, verdict="rejected", code=550, enhanced="5.1.1", took=0.0) -> VerdictRecord:
    return VerdictRecord(number, verdict, 0.0, code, enhanced, reason, "smtp://relay.test", took)


def test_replies_that_quote_the_recipient_are_one_kind_and_name_nobody():
    [one] = told(*(refused(at, f"<reader{at}@company-{at}.example>: User unknown") for at in range(40)))
    assert (one.count, one.code, one.verdict) == (40, 550, "rejected")
    assert one.reason == "<***@company-0.example>: User unknown"


def test_queue_numbers_and_times_do_not_make_a_reply_another():
    first = "The recipient's inbox is full. gsmtp a640c23a62f3a-b9f2f1 at 08:00:01"
    other = "The recipient's inbox is full. gsmtp 9d2be8d71fc4e-a1c0d3 at 08:00:07"
    assert [one.count for one in told(refused(1, first), refused(2, other))] == [2]


def test_other_words_another_code_or_another_verdict_are_another_kind():
    replies = [
        refused(1, "User unknown"),
        refused(2, "Mailbox disabled"),
        refused(3, "User unknown", enhanced="5.7.1"),
        refused(4, "User unknown", code=450, enhanced="4.1.1", verdict="deferred"),
    ]
    assert [one.count for one in told(*replies)] == [1, 1, 1, 1]


def test_the_commonest_come_first_and_each_says_what_it_means_and_what_to_do():
    unknown, spam, later = told(
        *(refused(at, "User unknown") for at in range(3)),
        *(refused(at, "policy", code=554, enhanced="5.7.1", took=0.1) for at in (3, 4)),
        refused(5, "Greylisted", code=450, enhanced="4.2.1", verdict="deferred"),
    )
    assert (unknown.meaning, "suppressed.csv" in unknown.advice) == (
        "there is no such recipient, or it has moved",
        True,
    )
    assert spam.meaning.startswith("refused by policy")
    assert spam.advice
    assert later.meaning.startswith("greylisted")
    assert later.advice == "nothing to do: a later pass tries again"


def test_a_letter_that_ran_out_of_tries_is_told_as_that():
    [one] = told(refused(1, "try later", code=451, enhanced=""))
    assert "ran out" in one.advice


def test_what_no_relay_said_has_no_meaning_to_look_up():
    [one] = told(refused(1, "its domain's limits allow it only later", code=0, enhanced="", verdict="deferred"))
    assert (one.meaning, one.advice) == ("", "nothing to do: a later pass tries again")
    [other] = told(refused(1, "the relay closed the connection", code=0, enhanced="", verdict="in_doubt"))
    assert (other.meaning, other.advice) == ("", "")


def test_a_relay_that_never_says_the_same_twice_does_not_fill_the_memory():
    refusals = Refusals()
    for at in range(MOST_KINDS + 500):
        word = "".join(chr(97 + int(digit)) for digit in str(at))
        refusals.add(refused(at, f"no {word}"))
    kinds = refusals.top(RULES, 10_000)
    assert len(kinds) == MOST_KINDS + 1
    assert sum(one.count for one in kinds) == MOST_KINDS + 500


def test_the_dead_are_those_whom_the_rules_suppress():
    refusals = Refusals()
    refusals.add(refused(1, "User unknown"))
    refusals.add(refused(2, "mailbox full", code=552, enhanced="5.2.2"))
    refusals.add(refused(3, "later", code=450, enhanced="4.2.1", verdict="deferred"))
    assert refusals.dead(RULES) == 1
