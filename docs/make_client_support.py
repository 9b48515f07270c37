"""Writes campaign/check/letters/data/client_support.json: which mail readers ignore which HTML and CSS, from caniemail's data.

To refresh it, fetch the data and run this; nothing else is needed:

    npm pack caniemail && tar xzf caniemail-*.tgz
    python docs/make_client_support.py package

Only features whose loss breaks a letter are kept (`FEATURES`). A shadow, a rounded corner or a web font that is
ignored leaves a plainer letter, not a broken one, and nobody wants to be told of it before every send. Of each
feature the newest test in each reader of `READERS` counts, and only a plain "not supported".
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "campaign" / "compose" / "data"
READERS = {
    "apple-mail.ios": "Apple Mail (iOS)",
    "apple-mail.macos": "Apple Mail (macOS)",
    "gmail.desktop-webmail": "Gmail",
    "gmail.android": "Gmail (Android)",
    "gmail.ios": "Gmail (iOS)",
    "outlook.windows": "Outlook (Windows)",
    "outlook.outlook-com": "Outlook.com",
    "outlook.macos": "Outlook (macOS)",
    "outlook.android": "Outlook (Android)",
    "outlook.ios": "Outlook (iOS)",
    "samsung-email.android": "Samsung Email",
    "thunderbird.macos": "Thunderbird",
    "yahoo.desktop-webmail": "Yahoo",
    "yahoo.android": "Yahoo (Android)",
    "yahoo.ios": "Yahoo (iOS)",
}
TABLES = "lay it out with tables"
PLAIN = "write a plain value"
SPACE = "write the physical property, such as margin-left"
FALLBACK = "put something else inside it, or link to it"
LINK = "link to a page instead"
COLOUR = "give it a background-color as well"
IMAGE = "use PNG, JPEG or GIF"

#: caniemail's name -> how a letter that uses it is recognised ("property", "value", "function", "unit", "pseudo",
#: "at", "element", "image"), what is looked for, and what to do instead.
FEATURES: dict[str, tuple[str, list[str], str]] = {
    "css-position": ("value", ["position:absolute", "position:fixed", "position:sticky"], TABLES),
    "css-float": ("value", ["float:left", "float:right"], "use the align attribute, or tables"),
    "css-display-flex": ("value", ["display:flex", "display:inline-flex"], TABLES),
    "css-display-grid": ("value", ["display:grid", "display:inline-grid"], TABLES),
    "css-column-count": ("property", ["column-count", "columns"], TABLES),
    "css-transform": ("property", ["transform"], "let the picture itself be turned"),
    "css-object-fit": ("property", ["object-fit"], "crop the picture itself"),
    "css-clip-path": ("property", ["clip-path"], "crop the picture itself"),
    "css-mask-image": ("property", ["mask-image", "mask"], "crop the picture itself"),
    "css-aspect-ratio": ("property", ["aspect-ratio"], "give width and height"),
    "css-writing-mode": ("property", ["writing-mode"], "use a picture of it"),
    "css-visibility": ("value", ["visibility:hidden"], "use display: none"),
    "css-background-image": ("property", ["background-image"], COLOUR),
    "css-linear-gradient": ("function", ["linear-gradient", "repeating-linear-gradient"], COLOUR),
    "css-radial-gradient": ("function", ["radial-gradient", "repeating-radial-gradient"], COLOUR),
    "css-conic-gradient": ("function", ["conic-gradient", "repeating-conic-gradient"], COLOUR),
    "css-block-inline-size": ("property", ["block-size", "inline-size"], "write width or height"),
    "css-margin-inline-block": ("property", ["margin-inline", "margin-block"], SPACE),
    "css-margin-inline-start-end": ("property", ["margin-inline-start", "margin-inline-end"], SPACE),
    "css-margin-block-start-end": ("property", ["margin-block-start", "margin-block-end"], SPACE),
    "css-padding-inline-block": ("property", ["padding-inline", "padding-block"], SPACE),
    "css-padding-inline-start-end": ("property", ["padding-inline-start", "padding-inline-end"], SPACE),
    "css-padding-block-start-end": ("property", ["padding-block-start", "padding-block-end"], SPACE),
    "css-inset": ("property", ["inset"], TABLES),
    "css-intrinsic-size": ("value", [f"{side}:{size}-content" for side in ("width", "height") for size in ("fit", "min", "max")], PLAIN),
    "css-unit-calc": ("function", ["calc"], PLAIN),
    "css-function-clamp": ("function", ["clamp"], PLAIN),
    "css-function-max": ("function", ["max"], PLAIN),
    "css-function-min": ("function", ["min"], PLAIN),
    "css-function-light-dark": ("function", ["light-dark"], "write one colour, and the other in @media (prefers-color-scheme: dark)"),
    "css-modern-color": ("function", ["lch", "oklch", "lab", "oklab"], "write the colour as #rrggbb"),
    "css-variables": ("function", ["var"], PLAIN),
    "css-unit-rem": ("unit", ["rem"], "use px or em"),
    "css-unit-ch": ("unit", ["ch"], "use px or em"),
    "css-unit-vh": ("unit", ["vh"], "use px or %"),
    "css-unit-vw": ("unit", ["vw"], "use px or %"),
    "css-unit-vmin": ("unit", ["vmin"], "use px or %"),
    "css-unit-vmax": ("unit", ["vmax"], "use px or %"),
    "css-pseudo-element-before": ("pseudo", [":before"], "write its content into the HTML"),
    "css-pseudo-element-after": ("pseudo", [":after"], "write its content into the HTML"),
    "css-pseudo-class-checked": ("pseudo", [":checked"], "let nothing depend on it"),
    "css-at-import": ("at", ["@import"], "put the rules into the template"),
    "html-audio": ("element", ["audio"], FALLBACK),
    "html-video": ("element", ["video"], FALLBACK),
    "html-object": ("element", ["object"], FALLBACK),
    "html-picture": ("element", ["picture"], "put an <img> inside it"),
    "html-svg": ("element", ["svg"], IMAGE),
    "html-dialog": ("element", ["dialog"], LINK),
    "html-form": ("element", ["form"], LINK),
    "html-input-text": ("element", ["input"], LINK),
    "html-select": ("element", ["select"], LINK),
    "html-textarea": ("element", ["textarea"], LINK),
    "html-button-submit": ("element", ["button"], "make it a link that looks like a button"),
    "html-marquee": ("element", ["marquee"], "let it stand still"),
    "html-meter": ("element", ["meter"], "write the figure"),
    "html-progress": ("element", ["progress"], "write the figure"),
    "html-link": ("element", ["link"], "put the rules into the template"),
    "image-base64": ("image", ["data:"], 'set compose.images = "cid"'),
    "image-webp": ("image", ["image/webp"], IMAGE),
    "image-avif": ("image", ["image/avif"], IMAGE),
    "image-svg": ("image", ["image/svg+xml"], IMAGE),
    "image-heif": ("image", ["image/heif", "image/heic"], IMAGE),
    "image-tiff": ("image", ["image/tiff"], IMAGE),
    "image-ico": ("image", ["image/x-icon", "image/vnd.microsoft.icon"], IMAGE),
}  # fmt: skip


def reduced(data: dict[str, Any], version: str) -> dict[str, Any]:
    """What `campaign check` needs of caniemail's data."""
    by_name = {one["slug"]: one for one in data["data"]}
    missing = FEATURES.keys() - by_name.keys()
    if missing:
        sys.exit(f"caniemail no longer has {', '.join(sorted(missing))}: find their new names")
    features = [
        {
            "title": by_name[name]["title"].strip(),
            "page": f"caniemail.com/features/{name}",
            "kind": kind,
            "names": names,
            "remedy": remedy,
            "ignored": [reader for reader in READERS if ignored(by_name[name]["stats"], reader)],
        }
        for name, (kind, names, remedy) in FEATURES.items()
    ]
    source = f"caniemail.com, by way of the npm package caniemail {version}; MIT, see LICENSE-caniemail.txt"
    return {
        "source": source,
        "updated": data["last_update_date"][:10],
        "readers": READERS,
        "features": [one for one in features if one["ignored"]],
    }


def ignored(stats: dict[str, Any], reader: str) -> bool:
    """Whether the newest version of ``reader`` that was tested does not support it at all."""
    family, _, platform = reader.partition(".")
    tested = list(stats.get(family, {}).get(platform, {}).values())
    return bool(tested) and tested[-1].startswith("n")


def written(table: dict[str, Any]) -> str:
    """The table as JSON with a line for each feature, so that a refresh can be read as a change."""
    features = ",\n".join(json.dumps(one, ensure_ascii=False) for one in table["features"])
    rest = json.dumps({**table, "features": []}, ensure_ascii=False, indent=1)
    return rest.replace('"features": []', f'"features": [\n{features}\n ]') + "\n"


def main(package: Path) -> None:
    """Read the unpacked npm package, write the data and its licence."""
    data = json.loads((package / "data" / "caniemail.json").read_text(encoding="utf-8"))
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "client_support.json").write_text(written(reduced(data, version)), encoding="utf-8")
    shutil.copyfile(package / "LICENSE", FOLDER / "LICENSE-caniemail.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
