"""Images and attachments come from regular files under one root, typed by content, and read back as they were."""

import email
import email.policy
import hashlib
import os
import re
import socket
from base64 import b64decode
from pathlib import Path

import pytest

from campaign.compose.files.read_under_root import read_beneath
from campaign.compose.mime import file_parts as room
from campaign.compose.mime.file_parts import ResourceError, Resources
from campaign.compose.mime.media_types import attachment_type
from campaign.config.compose import ComposeSection
from campaign.errors import ConfigError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 20
GIF, WEBP = b"GIF89a" + b"\0" * 20, b"RIFF\x10\0\0\0WEBPVP8 "
SVG = b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PDF, ZIP = b"%PDF-1.7\n...", b"PK\x03\x04...."


def resources(root, **settings):
    return Resources(root, ComposeSection(subject="x", **settings))


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    for name, content in {
        "templates/body.html.j2": b"<img>",
        "templates/near.png": PNG + b"near",
        "images/hero.png": PNG,
        "images/photo.jpg": JPEG,
        "images/lies.txt": GIF,
        "images/two words ü.webp": WEBP,
        "images/drawing.svg": SVG,
        "images/drawing.png": SVG,
        "images/page.png": b"<!doctype html>",
        "images/empty.png": b"",
        "invoices/7.pdf": PDF,
        "invoices/发票 7.pdf": PDF,
        "terms.txt": "Straße\n".encode(),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (tmp_path / "secret.png").write_bytes(PNG)
    return root


def parsed(part):
    assert part.endswith(b"\r\n")
    assert part.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", part)
    assert max(map(len, part.split(b"\r\n"))) <= 78
    return email.message_from_bytes(part, policy=email.policy.default)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("images/hero.png", PNG, "image/png"),
        ("images/photo.jpg", JPEG, "image/jpeg"),
        ("images/lies.txt", GIF, "image/gif"),
        ("images/two words ü.webp", WEBP, "image/webp"),
        ("images/two%20words%20%C3%BC.webp", WEBP, "image/webp"),
        ("./images//hero.png", PNG, "image/png"),
    ],
)
def test_an_image_is_a_complete_part_typed_by_its_content(root, name, content, kind):
    image = resources(root).image(name, root / "templates")
    part = parsed(image.part)
    assert part.keys() == ["Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Disposition"]
    assert (part.get_content_type(), part.get_content_disposition()) == (kind, "inline")
    assert part["Content-ID"] == f"<{image.cid}>"
    assert part.get_content() == content
    assert image.size == len(content)
    assert image.data_uri.startswith(f"data:{kind};base64,")
    assert b64decode(image.data_uri.partition(",")[2]) == content


def test_the_same_content_has_the_same_cid_wherever_it_lies(root):
    (root / "copy.png").write_bytes(PNG)
    shelf = resources(root)
    assert shelf.image("copy.png", root).cid == shelf.image("images/hero.png", root).cid
    assert shelf.image("copy.png", root).cid != shelf.image("images/photo.jpg", root).cid
    assert re.fullmatch(r"[0-9a-f]{32}@image", shelf.image("copy.png", root).cid)


def test_an_image_is_looked_for_beside_the_template_first_and_then_under_the_root(root):
    (root / "templates" / "images").mkdir()
    (root / "templates" / "images" / "hero.png").write_bytes(PNG + b"nearer")
    shelf = resources(root)
    assert shelf.image("near.png", root / "templates").size == len(PNG) + 4
    assert shelf.image("images/hero.png", root / "templates").size == len(PNG) + 6
    assert shelf.image("images/hero.png", root).size == len(PNG)


def test_a_template_folder_outside_the_root_gives_no_way_in(root, tmp_path):
    with pytest.raises(ResourceError, match="no file"):
        resources(root).image("secret.png", tmp_path)


def test_an_image_is_read_and_encoded_once(root):
    shelf = resources(root)
    image = shelf.image("images/hero.png", root)
    (root / "images" / "hero.png").unlink()
    (root / "images" / "hero.png").write_bytes(JPEG)
    assert shelf.image("images/hero.png", root) is image


@pytest.mark.parametrize("name", ["images/drawing.svg", "images/drawing.png"])
def test_svg_is_refused_with_advice_whatever_it_is_called(root, name):
    with pytest.raises(ResourceError, match="is SVG") as raised:
        resources(root).image(name, root)
    assert "convert it" in raised.value.next_step


@pytest.mark.parametrize(
    "name",
    ["..", "/etc/passwd", "../secret.png", "images/../../secret.png", "images/..", "%2e%2e/secret.png", "%2fx",
     "file:///etc/passwd", "FILE:secret.png", "http://example.com/x.png", "https://example.com/x", "//example.com/x",
     "data:image/png;base64,AAAA", "cid:x", "\\\\server\\share\\x.png", "images\\hero.png", "C:\\x.png", "%2525",
     "images%5chero.png", "images/hero.png\0", "images/hero.png%00", "a\r\nb.png", "%0d%0a.png", "\u202egnp.exe",
     "x%ff.png", "", "x" * 5_000, "javascript:alert(1)"],
)  # fmt: skip
def test_names_that_lead_anywhere_else_are_refused_and_open_nothing(root, name, monkeypatch):
    monkeypatch.setattr(os, "open", lambda *_, **__: pytest.fail("opened"))
    shelf = resources(root)
    with pytest.raises(ResourceError) as raised:
        shelf.image(name, root / "templates")
    assert raised.value.what.isprintable()
    assert len(raised.value.what) < 250
    assert raised.value.next_step
    assert shelf.fingerprints() == {}


def test_links_are_followed_only_within_the_root(root, tmp_path):
    (root / "inside.png").symlink_to("images/hero.png")
    (root / "outside.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop.png").symlink_to("loop.png")
    (root / "gone.png").symlink_to("nowhere.png")
    shelf = resources(root)
    assert shelf.image("inside.png", root).size == len(PNG)
    for name in ("outside.png", "folder/secret.png", "folder/root/../secret.png"):
        with pytest.raises(ResourceError, match=r"leads out|not a name"):
            shelf.image(name, root)
        with pytest.raises(ResourceError, match=r"leads out|not a name"):
            shelf.attachment(name)
    for name in ("loop.png", "gone.png"):
        with pytest.raises(ResourceError):
            shelf.image(name, root)


@pytest.mark.parametrize(
    "name",
    [
        "campaign.secret",
        "relay.password",
        ".env",
        ".git/config",
        "dkim.pem",
        "list.csv",
        "runs/a/plan.jsonl",
        "alias.pdf",
    ],
)
def test_what_is_private_is_put_into_no_letter_whatever_a_row_names(root, name):
    for own in ("campaign.secret", "relay.password", ".env", ".git/config", "list.csv", "runs/a/plan.jsonl"):
        (root / own).parent.mkdir(parents=True, exist_ok=True)
        (root / own).write_bytes(PDF)
    (root / "dkim.pem").write_bytes(b"-----BEGIN RSA PRIVATE KEY-----\nMII\n")
    (root / "alias.pdf").symlink_to("campaign.secret")
    shelf = Resources(root, ComposeSection(subject="x"), private=[root / "list.csv", root / "runs"])
    for take in (shelf.attachment, lambda one: shelf.image(one, root)):
        with pytest.raises(ResourceError, match=r"not for letters|neither PNG"):
            take(name)
    (root / "runs2.pdf").write_bytes(PDF)
    assert shelf.attachment("runs2.pdf")


def test_a_root_that_is_itself_a_link_is_fine(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert resources(tmp_path / "link").image("images/hero.png", tmp_path / "link" / "templates").size == len(PNG)


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(root, tmp_path):
    (root / "swapped").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"directory|symbolic"):
        read_beneath(root.resolve(), Path("swapped/secret.png"), 1_000)
    (root / "swapped.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(OSError, match="symbolic"):
        read_beneath(root.resolve(), Path("swapped.png"), 1_000)


def test_only_regular_files_are_read_and_nothing_waits(root):
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        folder = os.open(root, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{folder}/socket.png")
        finally:
            os.close(folder)
        for name in ("pipe.png", "socket.png", "images"):
            with pytest.raises(ResourceError, match="cannot be put into a letter"):
                resources(root).attachment(name)


def open_descriptors():
    return {one.name for one in Path("/proc/self/fd").iterdir() if one.exists()}


def test_no_descriptor_is_left_open(root):
    (root / "a" / "b").mkdir(parents=True)
    os.mkfifo(root / "a" / "b" / "pipe")
    shelf = resources(root, max_attachment_size=100)
    before = open_descriptors()
    for name in ("a/b/pipe", "images/hero.png", "terms.txt"):
        try:
            shelf.attachment(name)
        except ResourceError:
            continue
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("images/empty.png", "it is empty"),
        ("images/hero.png", "776 octets, more than the 775 allowed"),
        ("nowhere.png", "no file"),
    ],
)
def test_empty_overlong_and_missing_files_are_told(root, name, reason):
    for take in (
        resources(root, max_attachment_size=775).attachment,
        lambda one: resources(root, max_attachment_size=775).image(one, root),
    ):
        with pytest.raises(ResourceError, match=reason) as raised:
            take(name)
        assert isinstance(raised.value, ConfigError)
        assert repr(name) in raised.value.what
        assert raised.value.evidence
        assert raised.value.next_step


def test_a_file_that_grows_while_it_is_read_is_refused(root, monkeypatch):
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda fd: os.stat_result([*real(fd)[:6], 10, *real(fd)[7:]]))
    with pytest.raises(ResourceError, match="changed while it was read"):
        resources(root).attachment("images/hero.png")


@pytest.mark.parametrize(
    ("name", "content", "kind", "shown"),
    [
        ("invoices/7.pdf", PDF, "application/pdf", "7.pdf"),
        ("invoices/发票 7.pdf", PDF, "application/pdf", "发票 7.pdf"),
        ("terms.txt", "Straße\n".encode(), "text/plain", "terms.txt"),
        ("images/lies.txt", GIF, "image/gif", "lies.txt"),
        ("images/drawing.svg", SVG, "application/octet-stream", "drawing.svg"),
    ],
)
def test_an_attachment_is_a_complete_part_and_reads_back(root, name, content, kind, shown):
    part = parsed(resources(root).attachment(name))
    assert part.keys() == ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition"]
    assert (part.get_content_type(), part.get_content_disposition()) == (kind, "attachment")
    assert part.get_filename() == shown
    assert part.get_payload(decode=True) == content


@pytest.mark.parametrize(
    ("content", "suffix", "kind"),
    [
        (ZIP, ".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (ZIP, ".XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (ZIP, ".pdf", "application/zip"),
        (PDF, ".docx", "application/pdf"),
        (b"MZ\x90\0", ".pdf", "application/octet-stream"),
        (b"MZ\x90\0", ".txt", "application/octet-stream"),
        (b"a,b\r\n1,2\r\n", ".csv", "text/csv; charset=utf-8"),
        (b"caf\xe9", ".txt", "application/octet-stream"),
        (b"<html><script>", ".html", "application/octet-stream"),
        (b"BEGIN:VCALENDAR", ".ics", "text/calendar; charset=utf-8"),
        (b"\x1f\x8b\x08\0", ".svgz", "application/gzip"),
        (PNG, ".exe", "image/png"),
    ],
)
def test_content_decides_and_the_suffix_only_refines(content, suffix, kind):
    assert attachment_type(content, suffix) == kind


def test_a_name_that_cannot_be_shown_is_refused(root):
    (root / "x .pdf ").write_bytes(PDF)
    with pytest.raises(ResourceError, match="cannot be named in a letter"):
        resources(root).attachment("x .pdf ")


def test_files_used_last_are_kept_and_what_is_kept_has_a_bound(root, monkeypatch):
    for number in range(5):
        (root / f"{number}.pdf").write_bytes(PDF + b"." * 3_000)
        (root / f"{number}.png").write_bytes(PNG + b"." * 3_000)
    size = len(resources(root).attachment("0.pdf"))
    monkeypatch.setattr(room, "CACHE", 3 * size)
    shelf = resources(root)
    for number in (0, 1, 2, 0, 3):
        shelf.attachment(f"{number}.pdf")
        shelf.image(f"{number}.png", root)
    assert len(shelf._attachments) == 3
    assert len(shelf._images) == 1  # as part and as data
    (root / "0.pdf").unlink()
    assert len(shelf.attachment("0.pdf")) == size
    (root / "1.pdf").unlink()
    with pytest.raises(ResourceError, match=r"1\.pdf"):
        shelf.attachment("1.pdf")


def test_fingerprints_are_of_images_and_of_what_every_letter_has(root):
    shelf = resources(root)
    shelf.image("images/hero.png", root)
    shelf.attachment("invoices/7.pdf")
    shelf.attachment("terms.txt")
    shelf.attachment("terms.txt", constant=True)
    assert shelf.fingerprints() == {
        "images/hero.png": hashlib.sha256(PNG).hexdigest(),
        "terms.txt": hashlib.sha256("Straße\n".encode()).hexdigest(),
    }


def test_a_root_that_is_no_folder_is_a_mistake_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match=r"no folder .*nowhere"):
        resources(tmp_path / "nowhere")
