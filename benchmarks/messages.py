"""Other messages than the reference one: a small one, a large one, one with a picture; and variants of the setup.

Everything is made up here when it is needed: templates, a picture, keys for DKIM. The reference message itself lies in
`reference/` and is only read.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ours import REFERENCE, Setup

PICTURE_OCTETS = 50_000


@dataclass(frozen=True)
class Variant:
    """A setup, and what has to lie in its folder besides the reference templates."""

    title: str
    setup: Setup
    furnish: Callable[[Path], None] = lambda _folder: None


def small(folder: Path) -> None:
    """About 1 kB on the wire."""
    (folder / "small.txt.j2").write_text(
        "Dear {{ name }},\n\nyour seat at {{ event }} in {{ city }} is kept until {{ expires }}.\n"
        "Your page: https://example.com/me/{{ account }}\nUnsubscribe: {{ unsubscribe_url }}\n",
        encoding="utf-8",
    )


def large(folder: Path) -> None:
    """About 60 kB on the wire: the reference message with a long middle."""
    page = (REFERENCE / "newsletter.html.j2").read_text(encoding="utf-8")
    story = "".join(
        f"<p>Chapter {n} of the story for {{{{ city }}}}: the lamp was lit at {{{{ opens }}}}, and nobody on the quay "
        f"had seen the boat come in, though all of them would tell of it later, each in another way.</p>\n"
        for n in range(190)
    )
    before, mark, after = page.partition("<h2>")
    (folder / "large.html.j2").write_text(before + story + mark + after, encoding="utf-8")


def pictured(folder: Path) -> None:
    """The reference message with a picture of 50 kB in it."""
    page = (REFERENCE / "newsletter.html.j2").read_text(encoding="utf-8")
    hero = '<img src="hero.png" width="128" height="128" alt="A page of the Gazette">'
    (folder / "pictured.html.j2").write_text(page.replace("<h1>", f"{hero}<h1>", 1), encoding="utf-8")
    (folder / "hero.png").write_bytes(picture(PICTURE_OCTETS))


def picture(octets: int) -> bytes:
    """A PNG of noise, about so long."""
    width = int((octets / 3) ** 0.5)
    dice = random.Random(1)
    lines = b"".join(b"\0" + dice.randbytes(3 * width) for _ in range(width))
    header = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def rsa_key(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    _write_key(folder, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def ed25519_key(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    _write_key(folder, ed25519.Ed25519PrivateKey.generate())


def _write_key(folder: Path, key: object) -> None:
    from cryptography.hazmat.primitives import serialization as form

    octets = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())  # type: ignore[attr-defined]
    (folder / "dkim.pem").write_bytes(octets)
    (folder / "dkim.pem").chmod(0o600)


_SIGNED = {"dkim": '{ domain = "example.com", selector = "s1", key_file = "dkim.pem" }'}

#: What is compared with the plain setup, interleaved with it.
OPTIONS = (
    Variant("as it comes", Setup()),
    Variant("DKIM, RSA of 2,048 bits", Setup(compose=_SIGNED), rsa_key),
    Variant("DKIM, Ed25519", Setup(compose=_SIGNED), ed25519_key),
    Variant('durability = "power"', Setup(ledger={"durability": '"power"'})),
    Variant("no inlining", Setup(compose={"inline_css": "false"})),
)
MESSAGES = (
    Variant("small: text alone", Setup(html="", text="small.txt.j2"), small),
    Variant("reference", Setup()),
    Variant("large", Setup(html="large.html.j2"), large),
    Variant("with a picture of 50 kB", Setup(html="pictured.html.j2"), pictured),
)
