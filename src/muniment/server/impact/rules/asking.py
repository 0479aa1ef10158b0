"""What a question is about, told from how it is written.

1. `pkg:…` is a package, in one version where it names one.
2. `sha256:` with 64 hex digits, or these alone, is a digest: of a file, a whole version, a dataset, a
   base model or a piece of evidence.
3. `dataset:NAME` is a dataset or base model by its name.
4. `CVE-…`, `GHSA-…` and the like (letters, a hyphen, then what has a digit) are vulnerabilities.
5. Anything else is a dataset or base model.
"""

from __future__ import annotations

import re
from typing import Final

from muniment.core.errors import BadRequest
from muniment.server.evidence import read_purl
from muniment.server.impact.records import About, Asked

_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_VULNERABILITY: Final = re.compile(
    r"[A-Z][A-Za-z]{1,15}-(?=[A-Za-z0-9:.+-]*\d)[A-Za-z0-9:.+-]{1,110}"
)
_NAMED: Final = ("dataset:", "base_model:")


def read_question(text: str) -> Asked:
    """Return what a question is about.

    Raises:
        BadRequest: it says `pkg:` and is no package URL, or nothing at all.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise BadRequest("say what: CVE-2026-1, a package URL, a SHA-256, or a dataset's name")
    if text.startswith("pkg:"):
        told = read_purl(text)
        if told is None:
            raise BadRequest(
                f"expected a package URL (pkg:pypi/pillow@9.5.0), found {text[:100]!r}"
            )
        return Asked(About.PACKAGE, told.key, told.version)
    digest = _DIGEST.fullmatch(text)
    if digest is not None:
        return Asked(About.DIGEST, digest[1].lower())
    for prefix in _NAMED:
        if text.startswith(prefix):
            return Asked(About.MATERIAL, text.removeprefix(prefix))
    if _VULNERABILITY.fullmatch(text):
        return Asked(About.VULNERABILITY, text)
    return Asked(About.MATERIAL, text)
