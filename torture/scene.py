"""A small campaign in a folder of its own: list, templates and campaign file, each of which a scenario may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TEXT = "Hello {{ name }},\n\nthis is letter {{ number }} of {{ campaign }}.\n\n.\n..dots\n"
HTML = (
    "<html><head><style>p { color: #123456 }</style></head>"
    '<body><p>Hello {{ name }}</p><p>letter {{ number }}</p><img src="dot.png" alt="a dot"></body></html>\n'
)
#: A red dot.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
EDITION = "e1"


@dataclass
class Scene:
    """A campaign file and what it names. ``settings`` overrides keys of the file: section -> key -> TOML value."""

    folder: Path
    port: int
    people: Sequence[int] = ()
    connections: int = 10
    in_doubt: str = "hold"
    durability: str = "process"
    html: bool = False
    text: str = TEXT
    suppressed: Sequence[int] = ()
    settings: dict[str, dict[str, str]] = field(default_factory=dict)

    def write(self) -> Scene:
        """Put everything in place; call again after a change."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [f"{address(n)},Reader {n},{n}" for n in self.people]
        (self.folder / "list.csv").write_text("\n".join(["email,name,number", *rows, ""]), encoding="utf-8")
        (self.folder / "gone.csv").write_text(
            "\n".join(["email", *(address(n) for n in self.suppressed), ""]), encoding="utf-8"
        )
        (self.folder / "letter.txt.j2").write_text(self.text, encoding="utf-8")
        if self.html:
            (self.folder / "letter.html.j2").write_text(HTML, encoding="utf-8")
            (self.folder / "dot.png").write_bytes(PNG)
        self.file.write_text(self._toml(), encoding="utf-8")
        return self

    @property
    def file(self) -> Path:
        """The campaign file."""
        return self.folder / "torture.toml"

    @property
    def runs(self) -> Path:
        """The folder of this edition's runs."""
        return self.folder / "runs" / "torture" / EDITION

    def change(self, section: str, key: str, value: str) -> None:
        """Override one key, as TOML text, and write."""
        self.settings.setdefault(section, {})[key] = value
        self.write()

    def _toml(self) -> str:
        sections: dict[str, dict[str, Any]] = {
            "campaign": {"name": '"torture"', "edition": f'"{EDITION}"', "from": '"The Oracle <news@example.com>"'},
            "audience": {"source": '"list.csv"', "display_name": '"name"', "suppress": '["gone.csv"]'},
            "compose": {"subject": '"Letter {{ number }} for {{ name }}"', "text": '"letter.txt.j2"'},
            "delivery": {
                "relay": f'"smtp://127.0.0.1:{self.port}"', "connections": str(self.connections), "retry_after": '"0s"',
                "attempts": "8", "drain": '"10s"',
            },
            "ledger": {"in_doubt": f'"{self.in_doubt}"', "durability": f'"{self.durability}"'},
        }  # fmt: skip
        if self.html:
            sections["compose"]["html"] = '"letter.html.j2"'
        for section, keys in self.settings.items():
            sections.setdefault(section, {}).update(keys)
        return "\n".join(
            f"[{name}]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items()) + "\n"
            for name, keys in sections.items()
        )


def address(number: int) -> str:
    """The address of one reader; some domains have many readers."""
    return f"reader{number:05}@d{number % 7}.example.com"


def number_of(found: str) -> int:
    """The reader behind an address."""
    return int(found[6:11])
