"""The page behind an unsubscribe link: one button, in the reader's language, without scripts, cookies or redirects."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import tomllib
from pathlib import Path

from campaign.config.listen.listen_file import ListenSection

WORDS: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("page_words.toml").read_text(encoding="utf-8")
)
#: What a page can say.
STATES = ("ask", "done", "broken", "busy")
RIGHT_TO_LEFT = frozenset({"ar"})
#: Languages of an Accept-Language header that are looked at.
MOST_LANGUAGES = 20

_RANGE = re.compile(r"\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]{1,30})?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*")
_STYLE = """:root{color-scheme:light dark;--b:#f4f5f7;--c:#fff;--t:#1c2024;--l:#4a5560}
@media(prefers-color-scheme:dark){:root{--b:#14171a;--c:#1f2428;--t:#eceff2;--l:#b4bec8}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:flex;flex-direction:column;align-items:center;
justify-content:center;padding:24px 16px;background:var(--b);color:var(--t);font:17px/1.5 system-ui,sans-serif}
main{width:100%;max-width:30rem;padding:32px 24px;background:var(--c);border-radius:12px;text-align:center;
overflow-wrap:anywhere}h1{margin:0 0 8px;font-size:1.4rem;line-height:1.25}p{margin:0}form{margin:24px 0 0}
button{font:inherit;font-weight:600;min-height:48px;width:100%;padding:10px 24px;border:2px solid var(--t);
border-radius:8px;cursor:pointer;background:COLOUR;color:TEXT}button:focus-visible,a:focus-visible{outline:3px solid
var(--t);outline-offset:3px}footer{margin-top:20px;font-size:.875rem}footer a{color:var(--l);margin:0 8px}"""


class UnsubscribePage:
    """The pages of one listen file, made once. ``policy`` is their Content-Security-Policy."""

    def __init__(self, settings: ListenSection) -> None:
        style = _STYLE.replace("COLOUR", settings.colour).replace("TEXT", text_colour(settings.colour))
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )
        self._default = settings.language if settings.language in WORDS else "en"
        self._pages = {
            (language, state): _page(settings, style, language, state) for language in WORDS for state in STATES
        }

    def page(self, state: str, accept_language: str = "") -> bytes:
        """The page that says ``state``, in the language that the browser prefers."""
        return self._pages[preferred_language(accept_language, self._default), state]


def preferred_language(accept: str, default: str) -> str:
    """The language of the page by an Accept-Language header; ``default`` if it names none of ours."""
    best, weight = default, 0.0
    for part in accept[:500].split(",")[:MOST_LANGUAGES]:
        found = _RANGE.fullmatch(part)
        if found is None:
            continue
        name = "zh-Hans" if found[1].lower() == "zh" else found[1].lower()
        asked = float(found[2]) if found[2] else 1.0
        if name in WORDS and asked > weight:
            best, weight = name, asked
    return best


def text_colour(background: str) -> str:
    """Black or white, whichever can be read better on ``background``; the contrast is at least 4.5 to 1."""
    parts = [int(background[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#fff"


def _page(settings: ListenSection, style: str, language: str, state: str) -> bytes:
    words = WORDS[language]
    name = f"<bdi>{html.escape(settings.name or words['these'])}</bdi>"
    said = html.escape(words[state], quote=False).replace("{name}", name)
    title = html.escape(words["title"])
    form = (
        f'<form method="post"><button name="List-Unsubscribe" value="One-Click">{html.escape(words["button"])}</button>'
        "</form>"
    )
    links = "".join(
        f'<a href="{html.escape(url)}" rel="noreferrer">{html.escape(words[key])}</a>'
        for key, url in (("privacy", settings.privacy), ("imprint", settings.imprint))
        if url
    )
    heading = f"<h1>{html.escape(settings.name) or title}</h1>"
    direction = ' dir="rtl"' if language in RIGHT_TO_LEFT else ""
    return (
        f'<!doctype html><html lang="{language}"{direction}><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{title}</title><style>{style}</style></head><body><main>{heading}"
        f"<p>{said}</p>{form if state in ('ask', 'busy') else ''}</main>"
        f"{f'<footer>{links}</footer>' if links else ''}</body></html>"
    ).encode()
