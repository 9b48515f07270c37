"""Mail merge with the library python-emails, as its documentation shows it: a message for each row, inlined, sent.

    python python_emails.py CSV TEMPLATES PORT

One connection, kept open by the library. Runs in an environment of its own and imports nothing of ours.
"""

import csv
import hashlib
import json
import logging
import sys
from pathlib import Path

import emails
import jinja2
from emails.template import JinjaTemplate

SUBJECT = "{{ name }}, Ihr Brief für {{ month }}"


def main() -> None:
    path, templates, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    logging.getLogger("CSSUTILS").setLevel(logging.CRITICAL)
    escaping = jinja2.Environment(autoescape=True)
    html = JinjaTemplate((templates / "newsletter.html.j2").read_text(encoding="utf-8"), environment=escaping)
    text = JinjaTemplate((templates / "newsletter.txt.j2").read_text(encoding="utf-8"))
    subject = JinjaTemplate(SUBJECT)
    smtp = {"host": "127.0.0.1", "port": port, "timeout": 60, "fail_silently": False}
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            token = hashlib.sha512(row["email"].encode()).hexdigest()[:72]
            url = f"https://example.com/u/{token}"
            values = {**row, "items": json.loads(row["items"]), "unsubscribe_url": url}
            message = emails.Message(
                html=html.render(**values),
                text=text.render(**values),
                subject=subject.render(**values),
                mail_from=("Ada's Gazette", "news@example.com"),
                headers={"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
            )
            message.transform(css_inline=True, remove_unsafe_tags=False, load_images=False)
            answer = message.send(to=(row["name"], row["email"]), smtp=smtp)
            if answer.status_code != 250:
                raise SystemExit(f"{row['email']}: {answer.status_code}")


if __name__ == "__main__":
    main()
