"""Our own side of every comparison: a campaign file for the reference message, and the command that sends it.

The command is the one a user types, run as a user runs it: ``campaign send FILE`` in a process of its own.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import rows

REFERENCE = Path(__file__).parent / "reference"
SUBJECT = "{{ name }}, Ihr Brief für {{ month }}"
SECRET = "a secret of thirty-two octets :-)"
CAMPAIGN = [sys.executable, "-m", "campaign"]


@dataclass(frozen=True)
class Setup:
    """A campaign and what is different about it. ``html`` and ``text`` are file names in its folder."""

    subject: str = SUBJECT
    html: str = "newsletter.html.j2"
    text: str = "newsletter.txt.j2"
    compose: dict[str, str] = field(default_factory=dict)
    delivery: dict[str, str] = field(default_factory=dict)
    ledger: dict[str, str] = field(default_factory=dict)

    def lay_out(self, folder: Path, port: int, count: int) -> Path:
        """Write campaign file, templates and rows into ``folder``, and return the campaign file."""
        folder.mkdir(parents=True, exist_ok=True)
        for template in REFERENCE.iterdir():
            shutil.copy(template, folder)
        if not (folder / "recipients.csv").exists():
            rows.write_csv(folder / "recipients.csv", count)
        (folder / "campaign.secret").write_text(SECRET)
        (folder / "campaign.secret").chmod(0o600)
        file = folder / "reference.toml"
        file.write_text(self.toml(port), encoding="utf-8")
        return file

    def toml(self, port: int) -> str:
        sections = {
            "campaign": {"name": '"reference"', "from": '"Ada\'s Gazette <news@example.com>"'},
            "audience": {"source": '"recipients.csv"', "display_name": '"name"', "columns": '{ items = "json" }'},
            "compose": {
                "subject": f'"{self.subject}"',
                "unsubscribe": '"https://example.com/u/{{ unsubscribe_token }}"',
                **({"html": f'"{self.html}"'} if self.html else {}),
                **({"text": f'"{self.text}"'} if self.text else {}),
                **self.compose,
            },
            "delivery": {"relay": f'"smtp://127.0.0.1:{port}"', "connections": "20", **self.delivery},
            "ledger": self.ledger,
        }
        return "".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()) + "\n"
            for name, values in sections.items()
        )


def send_command(file: Path, *options: str) -> list[str]:
    return [*CAMPAIGN, "send", str(file), "--quiet", *options]
