"""What a check says."""

from campaign.check.findings import Finding, Findings


def some() -> Findings:
    findings = Findings()
    findings.add("unverified", "reputation", "Nobody can look at your reputation from here.")
    findings.add("unverified", "links", "Nobody has asked.", remedy="--links")
    for row in range(2, 1250):
        findings.add(
            "warning", "empty-name", 'It says "Dear ,".', row=row, where="body.html.j2:3", remedy="give a default"
        )
    findings.add("error", "undefined", "{{ plan }} is no column.", row=17, where="body.html.j2:14", remedy="name one")
    return findings


def test_findings_of_one_kind_are_one_with_its_first_rows_and_how_many_there_are():
    assert some().render_text() == (
        "error    undefined  body.html.j2:14: {{ plan }} is no column.\n"
        "         row 17 · name one\n"
        'warning  empty-name  body.html.j2:3: It says "Dear ,".\n'
        "         rows 2, 3, 4, 5, 6 and 1,243 more · give a default\n"
        "unverified reputation, links (--links)\n"
    )


def test_a_fault_of_all_rows_is_said_to_be_one():
    text = some().render_text(1248)
    assert "every row · give a default\n" in text
    assert "row 17 · name one\n" in text


def test_a_long_message_goes_on_in_the_next_line_and_loses_nothing():
    findings = Findings()
    message = " ".join(f"word{number}" for number in range(60))
    findings.add("warning", "long", message, remedy="https://example.com/" + "x" * 200)
    lines = findings.render_text().splitlines()
    assert " ".join(" ".join(lines).split()) == f"warning long {message} https://example.com/{'x' * 200}"
    assert max(map(len, lines[:-1])) <= 100


def test_the_same_fault_twice_in_a_row_is_that_row_once():
    findings = Findings()
    for row in (4, 4, 9):
        findings.add("error", "no-alt", "An image has no alternative text.", row=row)
    assert "rows 4, 9\n" in findings.render_text()


def test_only_errors_make_a_campaign_unsound():
    findings = Findings()
    assert findings.sound
    findings.add("warning", "w", "m")
    findings.add("unverified", "u", "m")
    assert findings.sound
    findings.add("error", "e", "m")
    assert not findings.sound


def test_places_and_severities_keep_findings_apart():
    findings = Findings()
    findings.add("error", "c", "m", where="a")
    findings.add("error", "c", "m", where="b")
    findings.add("warning", "c", "m", where="a")
    assert len(findings) == 3


def test_what_workers_found_is_merged_with_the_lowest_rows_first():
    left, right = Findings(), Findings()
    for row in (40, 50, 60):
        left.add("error", "c", "m", row=row, remedy="r")
    for row in (1, 2, 3, 4):
        right.add("error", "c", "m", row=row, remedy="r")
    right.add("warning", "other", "m")
    left.merge(right)
    assert "rows 1, 2, 3, 4, 40 and 2 more" in left.render_text()
    assert len(left) == 2


def test_a_finding_that_was_counted_elsewhere_is_taken_over_as_it_is():
    findings = Findings()
    findings.take(Finding("warning", "rows", "m", rows=[2, 9], where="list.csv", remedy="r", count=30))
    assert findings.render_text() == "warning  rows  list.csv: m\n         rows 2, 9 and 28 more · r\n"


def test_json_says_the_same():
    said = some().render_json()
    assert said["sound"] is False
    assert said["counts"] == {"error": 1, "warning": 1, "unverified": 2}
    assert said["findings"][1] == {
        "severity": "warning",
        "code": "empty-name",
        "message": 'It says "Dear ,".',
        "where": "body.html.j2:3",
        "rows": [2, 3, 4, 5, 6],
        "count": 1248,
        "remedy": "give a default",
    }


def test_warnings_become_errors_where_there_is_a_reason_which_is_added():
    findings = some()
    findings.harden({"empty-name": "refused here", "reputation": "no", "undefined": "no", "other": "no"})
    (one,) = [found for found in findings if found.code == "empty-name"]
    assert (one.severity, one.message, one.count) == ("error", 'It says "Dear ,".; refused here', 1248)
    assert findings.counts() == "2 errors, 2 not verified."
    assert not findings.sound


def test_the_counts_are_said_in_words():
    assert some().counts() == "1 error, 1 warning, 2 not verified."
    assert Findings().counts() == "Nothing was found."
    assert Findings().render_text() == ""


def test_data_cannot_repaint_the_terminal():
    findings = Findings()
    findings.add("error", "c", "bad value \x1b[2J", where="x\ny")
    assert "\x1b" not in findings.render_text()
    assert len(findings.render_text().splitlines()) == 1
