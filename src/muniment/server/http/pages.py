"""Plain HTML pages: no script, one style sheet allowed by its own hash, readable by everybody."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import LiteralString

from muniment.server.http.operation import Reply

MEDIA_TYPE = "text/html; charset=utf-8"

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1.0625rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 10vh auto; padding: 0 1rem; }
label { display: block; font-weight: 600; margin-top: 1rem; }
input, button { font: inherit; padding: .5rem .75rem; min-height: 2.75rem; box-sizing: border-box; }
input { width: 100%; border: 1px solid #767676; border-radius: .25rem; }
button { margin-top: 1.25rem; border: 0; border-radius: .25rem; background: #14427a; color: #fff; }
:focus-visible { outline: 3px solid #c05000; outline-offset: 2px; }
pre, code { font: .95rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
pre { border: 1px solid #767676; border-radius: .25rem; padding: .75rem; }
.wrong { border-left: .25rem solid #b3261e; padding-left: .75rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def page(title: str, body: str, *, status: int | None = None) -> Reply:
    """Return a page; `body` is HTML made by `fill`, `title` is text."""
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · Muniment</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
    headers = {"content-type": MEDIA_TYPE, "content-security-policy": _POLICY}
    return Reply(html, status=status, headers=headers)


def fill(template: LiteralString, **values: str) -> str:
    """Put `values` into an HTML template, escaped for text and quoted attributes."""
    return template.format(**{name: escape(value) for name, value in values.items()})
