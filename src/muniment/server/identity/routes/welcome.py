"""How the first administrator comes in: the one-time code, by program or on a page.

The page is a plain form. Looking at it changes nothing; the code itself is the secret that a
forged form would have to know, so it needs no other token.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from muniment.core.errors import (
    AlreadyExists,
    BadBody,
    MunimentError,
    NotAuthenticated,
    TooLarge,
    Unavailable,
)
from muniment.server import ledger
from muniment.server.http import pages
from muniment.server.http.operation import Call, Operation, Reply, ScopeFrom, TxMode
from muniment.server.http.records import Verb
from muniment.server.identity.actions import access as actions
from muniment.server.identity.records import By, Issued
from muniment.server.identity.routes.bodies import CodeBody, IssuedBody, WelcomeQuery, issued_body
from muniment.server.identity.rules import access as rules
from muniment.server.ports.db import Tx

_FORM_BYTES_MAX = 16 << 10


def _nobody(call: Call) -> By:
    return By(ledger.Actor("system", "bootstrap"), call.now, call.new_id)


async def bootstrap(call: Call, tx: Tx) -> Reply:
    """Exchange the one-time code for the first administrator's token, shown once."""
    body: CodeBody = call.body
    name = rules.clean_name(body.name)
    return Reply(issued_body(await actions.redeem_code(tx, body.code, name, _nobody(call))))


async def show_welcome(call: Call) -> Reply:
    """Show the form that exchanges the one-time code; looking at it uses nothing up."""
    query: WelcomeQuery = call.query
    return pages.page("Welcome", _form(query.code))


async def welcome(call: Call) -> Reply:
    """Take the form; show the first administrator's token, or the form with what is wrong."""
    form = await _read_form(call)
    code, name = form.get("code", ""), form.get("name", "admin")
    try:  # the transaction ends before the page is made: what was refused leaves nothing behind
        async with call.deps.db.transaction() as tx:
            issued = await actions.redeem_code(tx, code, rules.clean_name(name), _nobody(call))
    except (NotAuthenticated, AlreadyExists, BadBody) as error:
        return pages.page("Welcome", _form(code, name, error=error), status=403)
    return pages.page("You are the administrator", _shown(call, issued))


async def _read_form(call: Call) -> dict[str, str]:
    raw = await call.read(_FORM_BYTES_MAX)
    fields = parse_qs(raw.decode("utf-8", "replace").replace("\0", ""))
    return {name: values[0].strip().replace("\0", "") for name, values in fields.items()}


def _form(code: str, name: str = "admin", *, error: MunimentError | None = None) -> str:
    wrong = "" if error is None else pages.fill(_WRONG, message=error.message)
    return wrong + pages.fill(_FORM, code=code, name=name)


def _shown(call: Call, issued: Issued) -> str:
    expires = issued.token.expires_at.strftime("%Y-%m-%d")
    return pages.fill(_ISSUED, token=issued.text, url=call.base_url, expires=expires)


_WRONG = '<p class="wrong" role="alert" id="wrong">{message}</p>\n'
_FORM = """<p>A server without an administrator shows a one-time code when it starts. Exchange it here for the
administrator's token.</p>
<form method="post" action="/welcome">
<label for="code">One-time code</label>
<input id="code" name="code" value="{code}" required maxlength="200" autocomplete="off"
 spellcheck="false">
<label for="name">Your name in the registry</label>
<input id="name" name="name" value="{name}" required maxlength="200" autocomplete="username">
<button type="submit">Make me the administrator</button>
</form>"""
_ISSUED = """<p>This is your token. It is shown once, now; keep it as you keep a password. It expires
on {expires}.</p>
<pre tabindex="0" aria-label="Your token">{token}</pre>
<p>Sign in with it on your machine:</p>
<pre tabindex="0">muniment login {url}</pre>"""


OPERATIONS: list[Operation] = [
    Operation(
        method="POST",
        path="/api/v1/bootstrap",
        id="bootstrap",
        summary="Exchange the one-time code for the first administrator's token",
        handler=bootstrap,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.WRITE,
        body=CodeBody,
        returns=IssuedBody,
        status=201,
        errors=(NotAuthenticated, AlreadyExists),
        tag="identity",
        secret=True,
        guarded=True,
    ),
    Operation(
        method="GET",
        path="/welcome",
        id="show_welcome",
        summary="The page for the one-time code",
        handler=show_welcome,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        query=WelcomeQuery,
        media_type=pages.MEDIA_TYPE,
        tag="identity",
    ),
    Operation(
        method="POST",
        path="/welcome",
        id="welcome",
        summary="Exchange the one-time code on a page",
        handler=welcome,
        needs=Verb.ANONYMOUS,
        scope=ScopeFrom.EVERYTHING,
        tx=TxMode.NONE,
        media_type=pages.MEDIA_TYPE,
        tag="identity",
        also=(403,),
        errors=(TooLarge, Unavailable),
        streams=True,
        accepts="application/x-www-form-urlencoded",
        guarded=True,
    ),
]
