"""Two verifiers that are not ours, dkimpy and OpenDKIM, accept our signatures and notice every change."""

import re
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.compose.composer import Brief, Composer
from campaign.compose.mime.dkim_signature import Signer
from campaign.compose.mime.header_values import block, encode_text, mailbox_header
from campaign.compose.mime.list_unsubscribe import list_unsubscribe
from campaign.config.compose import DkimSection
from campaign.model import Identity, Letter
from tests.integration.test_sample_data import frozen
from tests.integration.test_sample_data import settings as sample_settings

SECONDS = 1_700_000_000
OPENDKIM = shutil.which("opendkim") or shutil.which("opendkim", path="/usr/sbin:/usr/local/sbin")
RSA, ED = rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
PUBLIC = {
    "rsa._domainkey.example.com": "v=DKIM1; k=rsa; p="
    + b64encode(RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
    "ed._domainkey.example.com": "v=DKIM1; k=ed25519; p="
    + b64encode(ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
}
BLOCK = block(
    [
        ("From", mailbox_header("Zoë's Gazette, weekly", "news@example.com")),
        ("Reply-To", "desk@example.com"),
        ("To", mailbox_header("王小明" * 12, "ada@example.com")),
        ("Subject", encode_text("Subject", "Grüße aus dem November, " * 6)),
        ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
        ("Message-ID", "<0123456789@example.com>"),
        ("MIME-Version", "1.0"),
        ("X-Campaign", encode_text("X-Campaign", "a  b   c " * 20 + "d")),
        *list_unsubscribe("https://example.com/u/" + "a" * 870, "leave@example.com?subject=" + "b" * 100),
        ("Content-Type", 'multipart/alternative;\r\n boundary="=_x"'),
        ("Content-Transfer-Encoding", "7bit"),
    ]
)
BODIES = [
    b"",
    b"\r\n",
    b"hello\r\n",
    b"blanks \t at the end \t \r\n \t\r\n\r\n\r\n",
    b"  indented\r\n\tby a tab\r\n" * 50,
    b"From here\r\n.\r\n..\r\n" + b"x" * 998 + b"\r\n",
    (b'   <td style=3D"color: #333">x</td>=20\r\n' * 4_000),
]  # fmt: skip

SAMPLES, AT_MOST = ("newsletter", "invoices", "alert"), 4
REWRITTEN = ("Date", "Message-ID")

PUBLIC |= {name.replace(".com", ".net"): value for name, value in PUBLIC.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dkim")
    for name, key in (("rsa", RSA), ("ed", ED)):
        (folder / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / name).chmod(0o600)
    (folder / "keys").write_text("".join(f"{name} {value}\n" for name, value in PUBLIC.items()))
    (folder / "conf").write_text(f"Mode v\nSyslog no\nTestPublicKeys {folder}/keys\n")
    return folder


def signed(folder, names, body, header=BLOCK):
    keys = [DkimSection(domain="example.com", selector=name, key_file=Path(name)) for name in names]
    return Signer(keys, folder).sign(header, body, SECONDS) + header + b"\r\n" + body


def by_dkimpy(letter):
    """Whether dkimpy accepts every signature of the letter."""
    if b"a=ed25519" in letter:
        pytest.importorskip("nacl", reason="dkimpy verifies Ed25519 only with pynacl")
    try:
        asked = dkim.DKIM(letter)
        return all(asked.verify(idx=at, dnsfunc=published) for at in range(letter.count(b"DKIM-Signature:")))
    except dkim.ValidationError:
        return False


def published(name, timeout=5):
    return PUBLIC[name.decode().rstrip(".")].encode()


@pytest.fixture(params=["dkimpy", "opendkim"])
def accepted(request, folder):
    """Whether a verifier accepts a letter, as a function."""
    if request.param == "dkimpy":
        return by_dkimpy
    if OPENDKIM is None:
        pytest.skip("OpenDKIM is not installed (package opendkim)")

    def by_opendkim(letter):
        (folder / "letter.eml").write_bytes(letter)
        command = [OPENDKIM, "-x", folder / "conf", "-t", folder / "letter.eml"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return re.search(r"verification \(s=(\w+).*succeeded", done.stdout + done.stderr) is not None

    return by_opendkim


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("names", [["rsa"], ["ed"], ["rsa", "ed"]], ids="+".join)
def test_every_letter_is_accepted(folder, accepted, names, body):
    assert accepted(signed(folder, names, body))


CHANGES = [
    (b"news@example.com", b"evil@example.com"),
    (b"desk@example.com", b"evil@example.com"),
    (b"ada@example.com", b"evil@example.com"),
    (b"Subject: =", b"Subject: x ="),
    (b"Date: Tue", b"Date: Wed"),
    (b"<0123456789@", b"<1123456789@"),
    (b"MIME-Version: 1.0", b"MIME-Version: 1.1"),
    (b"https://example.com/u/a", b"https://example.com/u/b"),
    (b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Click"),
    (b"multipart/alternative", b"multipart/mixed"),
    (b"Encoding: 7bit", b"Encoding: 8bit"),
    (b"MIME-Version", b"From: evil@example.com\r\nMIME-Version"),
    (b"\r\n\r\n", b"\r\nFrom: evil@example.com\r\n\r\n"),
    (b"\r\n\r\n", b"\r\n\r\nmore\r\n"),
    (b"indented", b"in dented"),
    (b"t=1700000000", b"t=1700000001"),
    (b"d=example.com", b"d=example.net"),
]


@pytest.mark.parametrize("name", ["rsa", "ed"])
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_any_change_of_what_is_covered_is_noticed(folder, accepted, name, old, new):
    letter = signed(folder, [name], b"  indented\r\n")
    changed = letter.replace(old, new, 1)
    assert changed != letter
    assert not accepted(changed)


@pytest.mark.parametrize("name", ["rsa", "ed"])
def test_relays_may_add_fields_and_refold(folder, accepted, name):
    letter = signed(folder, [name], b"  indented\r\n")
    start = letter.index(b"From:")
    moved = letter[:start] + b"Received: from x by y\r\nX-Spam: no\r\n" + letter[start:].replace(b"To: ", b"To:  ", 1)
    for one in (moved, moved.replace(b"; c=relaxed", b";\r\n\tc=relaxed", 1), moved + b"\r\n\r\n"):
        assert accepted(one)


def sample_letters(name, folder, rewritten=()):
    """Some letters of a sample campaign, from all over its list, signed with both keys."""
    this, (plan, _) = sample_settings(name), frozen(name)
    keys = [DkimSection(domain="example.com", selector=key, key_file=folder / key) for key in ("rsa", "ed")]
    compose = this.compose.model_copy(
        update={"dkim": keys, "headers": {**this.compose.headers, "List-ID": "<x.example.com>", "Feedback-ID": "1:x"}}
    )
    campaign, identity = this.campaign, Identity(this.campaign.name, this.campaign.edition, 1, b"s" * 32)
    composer = Composer(
        Brief(
            identity, campaign.sender, campaign.reply_to, campaign.return_path, compose, this.base, plan.columns,
            rewritten=rewritten,
        )
    )  # fmt: skip
    numbers = range(0, plan.size, max(plan.size // AT_MOST, 1))
    made = [composer.compose(plan.recipient(number), SECONDS) for number in numbers]
    return [letter.content for letter in made if isinstance(letter, Letter)]


@pytest.mark.parametrize("name", SAMPLES)
def test_letters_of_every_sample_are_accepted(folder, accepted, name):
    letters = sample_letters(name, folder)
    assert letters
    for letter in letters:
        assert accepted(letter)
        for field in (b"List-ID: <", b"Feedback-ID: 1:", b"Message-ID: <", b"Date: "):
            assert letter.count(b"\r\n" + field) == 1
            assert not accepted(letter.replace(b"\r\n" + field, b"\r\n" + field + b"9", 1))


@pytest.mark.parametrize("name", SAMPLES)
def test_letters_are_still_accepted_when_the_relay_has_rewritten_what_it_is_known_to(folder, accepted, name):
    for letter in sample_letters(name, folder, REWRITTEN):
        sent = re.sub(rb"\r\nDate: [^\r]+", b"\r\nDate: Wed, 15 Nov 2023 00:00:00 +0000", letter, count=1)
        sent = re.sub(rb"\r\nMessage-ID: [^\r]+", b"\r\nMessage-ID: <0102@eu-west-1.amazonses.com>", sent, count=1)
        assert sent != letter
        assert accepted(sent)
        assert not accepted(sent.replace(b"\r\nFeedback-ID: 1", b"\r\nFeedback-ID: 2", 1))


pieces = st.lists(
    st.sampled_from([b" ", b"  ", b"\t", b"\r\n", b"\r\n\r\n", b"a", b"=20", b".", b"From "]), max_size=40
).map(b"".join)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(subject=st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=120), body=pieces)
def test_any_subject_and_any_body_verify(folder, subject, body):
    header = block([("From", "news@example.com"), ("Subject", encode_text("Subject", subject))])
    assert by_dkimpy(signed(folder, ["rsa"], body + b"\r\n", header))
