"""A registry with a bit of everything in it, and the values that lead generated requests to it.

Requests made from a schema alone hardly get past 404: `Seeded` knows what is there, and `lead`
puts it into generated requests more often than not.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from hypothesis import strategies as st
from schemathesis import Case

from muniment import Client
from muniment.client.signing import OwnKey
from tests.support.catalog import FULL_METADATA
from tests.support.issuer import CLIENT_ID, GITHUB_RULE, Issuer
from tests.support.likely_approvals import seed_approvals
from tests.support.likely_consumers import seed_consumers
from tests.support.likely_policies import seed_policies
from tests.support.own_keys import key_body
from tests.support.signing import p256, pem_of

#: A generated request of any operation.
AnyCase = Case[Any]

#: A blob declared in the open upload session and sent by nobody.
BLOB = b"a blob that generated requests may send\n"
SHA256 = hashlib.sha256(BLOB).hexdigest()
#: A file of every seeded version.
HELD = b"held by the registry\n"
#: A blob that is there in parts.
SENT = b"sent in two parts\n"
VEX = json.dumps({
    "@context": "https://openvex.dev/ns/v0.2.0",
    "author": "ada",
    "statements": [{
        "vulnerability": "CVE-1", "status": "not_affected", "justification": "component_not_present",
    }],
})  # fmt: skip
RECORDS = Path(__file__).parents[1] / "samples" / "osv"
SENT_SHA256 = hashlib.sha256(SENT).hexdigest()
#: Assets of their own for what brings a version to an end, or changes what it is: all at 1.0.0.
OWN_ASSETS = {
    "reinstate_version": "ended-one",
    "release_version": "held-one",
    "rename_asset": "named-one",
    "deprecate_version": "old-one",
    "quarantine_version": "bad-one",
    "retire_version": "gone-one",
}
#: Operations of version 1.0.0 of the asset with evidence, a scan and an alias nobody moves.
OF_THE_FIRST = (
    "alias_history", "get_evidence", "get_evidence_context", "get_evidence_file", "get_scan",
    "get_scan_report", "list_components", "list_evidence", "reparse_evidence", "run_gates",
    "scan_version", "sign_version", "version_completeness", "version_history", "withdraw_version",
)  # fmt: skip
#: A host that versions may be fetched from, which has no address: fetches are tried again.
NOWHERE = "nowhere.invalid"
#: The namespace that only observes, where a person's promotion is carried out.
WATCHED = "watched"


@dataclass(frozen=True)
class Seeded:
    """Tokens to call with, and likely values of parameters by name, and of bodies by operation.

    What an operation brings to an end has values of its own, as `OPERATION.NAME`.
    """

    tokens: dict[str, str]
    values: dict[str, list[Any]]
    bodies: dict[str, list[Any]]

    @property
    def victims(self) -> list[str]:
        """Ids of the principals and the token that exist to be changed, disabled and revoked."""
        names = ("principal_id", "disable_principal.principal_id", "token_id")
        return [text for name in names for text in self.values[name]]


def seed(url: str, token: str, home: Path, issuer: Issuer) -> Seeded:
    """Fill the registry at `url`, whose administrator's `token` is; it may call `issuer`."""
    folder = home / "seed"
    folder.mkdir()
    with Client(url, token) as admin:
        for kind in ("model", "prompt"):
            (folder / "model.bin").write_bytes(HELD)
            for version in ("1.0.0", "1.1.0-rc.1"):
                (folder / "readme.md").write_text(f"{kind} {version}")
                admin.register(
                    f"{kind}-one", version=version, artifact=folder, kind=kind, owner="ada",
                    metadata=dict(FULL_METADATA), tags={"team": "risk"},
                )  # fmt: skip
            for alias in ("chosen", "kept"):
                admin.aliases.set(f"{kind}-one", alias, "1.0.0")
        admin.namespaces.create(WATCHED, mode="observe")
        for name in (*OWN_ASSETS.values(), f"{WATCHED}/seen-one"):
            admin.register(name, version="1.0.0", artifact=folder, kind="model", owner="ada")
        _move(admin, folder)
        kept = _add_evidence(admin, home)
        scan = admin.scans.run("model-one@1.0.0")
        for number, name in enumerate(("alice", "ended")):
            admin.signers.add(name, pem_of(p256(number)), uses=["signature"])
        imports: list[str] = []
        database = admin.vulnerabilities.import_database(
            RECORDS / "PYSEC-2023-74.json", "PyPI", told=lambda one: imports.append(one.id)
        )
        people = {role: admin.principals.create(role) for role in ("viewer", "victim", "doomed")}
        admin.principals.grant(str(people["viewer"].id), "viewer")
        viewer = admin.tokens.create("viewer", principal_id=str(people["viewer"].id))
        spare = admin.tokens.create("spare", principal_id=str(people["victim"].id))
        entry = admin.get("model-one@1.0.0").entry_id
        fetch, job = _start_fetch(admin, url, token)
        # Nobody is called: what is at a private address is refused.
        hooks = [
            admin.webhooks.create(name, "https://localhost:9/", ["version.abandon"]).id
            for name in ("hook", "other-hook", "doomed-hook")
        ]
        tried = admin.webhooks.test(hooks[0]).delivery_id
        more_values, more_bodies = seed_policies(admin, url, home)
        approval_values, approval_bodies = seed_approvals(admin, url, folder)
        consumer_values, consumer_bodies = seed_consumers(admin, folder)
        mine = admin.whoami().id
        key = admin.keys.create(OwnKey(p256(40)), name="kept")
        [told] = admin.lineage.tell([_told(0)])
        composite, of_it = _add_composite(admin, home)
    upload = _open_upload(url, token)
    trusted = _trust(url, token, issuer)
    login_url = _let_in(url, token, issuer)
    values: dict[str, list[Any]] = {
        "namespace": ["default"],
        "name": ["model-one", "prompt-one"],
        "version": ["1.0.0", "1", "2", "1.1.0-rc.1"],
        "alias": ["chosen", "fresh"],
        "path": ["model.bin", "readme.md"],
        "rest": ["0/000", "0/000.p/3", "entries/000.p/3", "1/000.p/1"],
        "entry_id": [entry],
        "evidence_id": [kept],
        "event_id": [told.id],
        "cvi": [composite],
        "get_composite_evidence.evidence_id": [of_it],
        "get_composite_evidence_file.evidence_id": [of_it],
        "prove_component.kind": ["model"],
        "prove_component.name": ["model-one"],
        "contains": ["model-one@1.0.0", SHA256],
        "system": ["seeded"],
        "about": [told.about, "job:etl/train"],
        "scan_id": [scan.id],
        "fetch_id": [fetch],
        "job_id": [job],
        "signer": ["alice"],
        "remove_signer.signer": ["ended"],
        "import_id": imports[-1:],
        "what": ["CVE-2023-32681", "pkg:pypi/requests", SHA256, "dataset:x"],
        "database_id": [database.id],
        "of": ["model-one@1.0.0", "model-one@chosen", "dataset:transactions"],
        "get_alias.alias": ["kept"],
        "get_alias.as_of": ["2100-01-01T00:00:00Z"],
        "version_completeness.as_of": ["2100-01-01T00:00:00Z"],
        "promote_version.namespace": [WATCHED],
        "promote_version.name": ["seen-one"],
        "promote_version.version": ["1.0.0"],
        "roll_back_asset.namespace": [WATCHED],
        "roll_back_asset.name": ["rolled-one"],
        "why_not.environment": ["production", "staging"],
        "why_not_composite.environment": ["production", "staging"],
        "name_principals.id": [[str(people["victim"].id)]],
        "principal_id": [str(people["victim"].id)],
        "disable_principal.principal_id": [str(people["doomed"].id)],
        "token_id": [str(spare.id)],
        "upload_id": [upload],
        "abandon_upload.upload_id": [_open_upload(url, token)],
        "webhook_id": [hooks[0]],
        "new_webhook_secret.webhook_id": [hooks[1]],
        "delete_webhook.webhook_id": [hooks[2]],
        "delivery_id": [tried],
        "sha256": [SHA256],
        "seal_blob.sha256": [SENT_SHA256],
        "ref": ["model-one@1.0.0", "model-one@chosen", "prompt-one@2"],
        "left": ["model-one@1.0.0"],
        "right": ["model-one@1.1.0-rc.1", "prompt-one@chosen"],
        "filter": ["owner = 'ada'", "tags.team LIKE 'r%' AND kind IN ('model')", "name != 'x'"],
        "order_by": ["name", "-updated_at", "name desc"],
        "key_id": [key.id],
        "index": [0, 1, 5],
        "size": [4, 6],
        "old": [0, 1, 4],
        "new": [4, 6],
        "as_of": ["2026-01-01T00:00:00Z", "2100-01-01T00:00:00+02:00"],
    }
    for operation in (*OWN_ASSETS, *OF_THE_FIRST):
        values[f"{operation}.name"] = [OWN_ASSETS.get(operation, "model-one")]
        values[f"{operation}.version"] = ["1.0.0"]
    values["alias_history.alias"] = ["kept"]
    values["right"] = ["model-one@1.1.0-rc.1"]
    values["publisher_id"], values["remove_publisher.publisher_id"] = [trusted[0]], [trusted[1]]
    values["issuer"], values["remove_login_issuer.issuer"] = ["doomed"], ["ending"]
    values["set_group_roles.issuer"] = ["partner"]
    tokens = {"admin": token, "viewer": viewer.token or ""}
    values |= more_values | approval_values | consumer_values
    bodies = _bodies(upload) | more_bodies | approval_bodies | consumer_bodies
    bodies["create_signing_key"] = [key_body(p256(41), mine, "other"), key_body(p256(42), mine)]
    # Each is good once; they hold for longer than the requests take.
    bodies["exchange_id_token"] = [
        {"id_token": issuer.token(exp=int(issuer.now()) + 80_000)} for _ in range(12)
    ]
    soon, late = int(issuer.now()) + 25, int(issuer.now()) + 80_000
    bodies["log_in"] = [
        {"id_token": issuer.person(iss=login_url, iat=soon, exp=late)} for _ in range(12)
    ]
    bodies["try_id_token"] = [{"id_token": issuer.token()}, {"claims": issuer.claims()}]
    return Seeded(tokens, values, bodies)


def _trust(url: str, token: str, issuer: Issuer) -> list[str]:
    """Believe `issuer`, and one that may be removed; return the ids of two publishers."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}) as http:
        for name, at in (("ci", issuer.url), ("doomed", "https://doomed.example")):
            body = {"name": name, "url": at, "provider": "github"}
            http.post("/api/v1/issuers", json=body).raise_for_status()
        made = []
        for permit in ("register", "evidence"):
            trusted = {"issuer": "ci", "rule": GITHUB_RULE, "permits": [permit]}
            answer = http.post("/api/v1/assets/default/model-one/publishers", json=trusted)
            made.append(str(answer.raise_for_status().json()["id"]))
    return made


def _let_in(url: str, token: str, issuer: Issuer) -> str:
    """Let people in by three issuers, one of which may be removed; return the URL of the real one."""
    people = issuer.for_people()
    roles = [{"group": "platform", "role": "viewer"}]
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}) as http:
        named = {"corp": people, "partner": "https://p.example", "ending": "https://e.example"}
        for name, at in named.items():
            body = {"name": name, "url": at, "client_id": CLIENT_ID, "roles": roles}
            http.post("/api/v1/login-issuers", json=body).raise_for_status()
    return people


def _add_evidence(admin: Client, home: Path) -> str:
    """Give the first version a note with a context, and its asset a plan of gates."""
    note, context, plan = home / "note.json", home / "context.json", home / "plan.json"
    note.write_text('{"notes": "none"}')
    context.write_text(json.dumps({
        "schema": "muniment/evidence/v1",
        "original": {"sha256": hashlib.sha256(note.read_bytes()).hexdigest()},
        "subject": {"digests": [f"sha256:{hashlib.sha256(HELD).hexdigest()}"]},
        "tool": {"name": "ci", "version": "1"},
        "run": {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:01:00Z"},
    }))  # fmt: skip
    check = {"metric": "accuracy", "direction": "higher", "threshold": 0.5}
    gates = [{"gate": gate, "checks": [check]} for gate in ("performance", "fairness", "security")]
    plan.write_text(json.dumps({"schema": "muniment/gate-plan/v1", "gates": gates}))
    admin.evidence.add("model-one@1.0.0", plan)
    [kept] = admin.evidence.add("model-one@1.0.0", note, kind="other", contexts=context)
    return str(kept.id)


def _start_fetch(admin: Client, url: str, token: str) -> tuple[str, int]:
    """Register a version whose bytes are nowhere: return the fetch, and the job that tries it."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}) as http:
        at = "/api/2.0/mlflow"
        made = http.post(f"{at}/registered-models/create", json={"name": "fetched-one"})
        made.raise_for_status()
        source = {"name": "fetched-one", "source": f"https://{NOWHERE}{at}-artifacts/artifacts/m"}
        http.post(f"{at}/model-versions/create", json=source).raise_for_status()
    [fetch] = admin.fetches.list_()
    return str(fetch.id), max(job.id for job in admin.jobs.list_())


def _open_upload(url: str, token: str) -> str:
    """Open an upload with one blob nobody sends, and one sent in two parts and not sealed."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}) as http:
        upload = str(http.post("/api/v1/uploads", json={"name": "model-one"}).json()["id"])
        at = f"/api/v1/uploads/{upload}/blobs"
        offered = [
            {"sha256": SHA256, "size_bytes": len(BLOB)},
            {"sha256": SENT_SHA256, "size_bytes": len(SENT)},
        ]
        http.post(at, json={"blobs": offered}).raise_for_status()
        for offset in (0, 9):
            part = SENT[offset : offset + 9]
            http.put(f"{at}/{SENT_SHA256}?offset={offset}", content=part).raise_for_status()
    return upload


def _add_composite(admin: Client, home: Path) -> tuple[str, str]:
    """Register a composite and give it a note; return its identifier and that of the note."""
    made = admin.composites.create("seeded", _composite("model-one@1.0.0"))
    note = home / "composite.txt"
    note.write_text("a note")
    [added] = admin.evidence.add(made.cvi, note, kind="other")
    return made.cvi, str(added.id)


def _composite(ref: str) -> list[dict[str, Any]]:
    kinds = ("code", "data", "adapter", "prompt", "config", "env")
    absent = {"name": "-", "status": "not-applicable", "reason": "none"}
    return [{"pin": ref}, *({"kind": kind, **absent} for kind in kinds)]


def _told(number: int) -> dict[str, Any]:
    """An event of OpenLineage."""
    return {
        "eventType": "COMPLETE", "eventTime": f"2026-06-01T12:00:0{number}Z", "producer": "https://p.example",
        "run": {"runId": str(uuid.UUID(int=number))}, "job": {"namespace": "etl", "name": "train"},
        "inputs": [{"namespace": "s3://lake", "name": "transactions"}],
    }  # fmt: skip


def _move(admin: Client, folder: Path) -> None:
    """One version deprecated, one quarantined; two in staging, which may go back to either."""
    admin.lifecycle.deprecate("ended-one@1.0.0", reason="over")
    admin.lifecycle.quarantine("held-one@1.0.0", reason="odd")
    for version in ("1.0.0", "1.1.0"):
        rolled = f"{WATCHED}/rolled-one"
        admin.register(rolled, version=version, artifact=folder, kind="model", owner="ada")
        admin.lifecycle.promote(f"{rolled}@{version}", "staging")


def _bodies(upload: str) -> dict[str, list[Any]]:
    file = {"path": "m", "sha256": hashlib.sha256(HELD).hexdigest(), "size_bytes": len(HELD)}
    sent = {"path": "sent", "sha256": SHA256, "size_bytes": len(BLOB)}
    make = {"kind": "model", "owner": "ada"}
    return {
        "register_version": [
            {"version": "2.0.0", "files": [file], "create_asset": make},
            {"version": "2.0.0", "files": [file], "metadata": {"license": "MIT"}},
            {"version": "2.1.0", "files": [file, sent], "upload_id": upload},
            {"version": "2.2.0", "files": [file], "require": "candidate", "dry_run": True},
            {"version": "1.0.0", "files": [], "metadata": json.loads(json.dumps(FULL_METADATA))},
        ],
        "set_alias": [{"version": "1.0.0", "reason": "why"}, {"version": None}, {"version": "2"}],
        "declare_blobs": [{"blobs": [{"sha256": SHA256, "size_bytes": len(BLOB)}]}],
        "put_blob": [BLOB, BLOB[:7], b""],
        "open_upload": [{"name": "model-one"}],
        "create_asset": [{"name": "new-one", **make}, {"name": "model-one", **make}],
        "annotate_asset": [{"tags": {"team": None}, "description": "changed"}, {"owner": "bob"}],
        "annotate_version": [{"tags": {"a": "b"}}, {"description": "changed"}],
        "grant_role": [{"role": "viewer"}, {"role": "approver", "namespace": "default"}],
        "revoke_role": [{"role": "viewer"}],
        "create_namespace": [{"namespace": "fresh"}, {"namespace": "seen", "mode": "observe"}],
        "deprecate_version": [{"reason": "over"}],
        "quarantine_version": [{"reason": "odd"}],
        "retire_version": [{"reason": "abandoned"}],
        "promote_version": [{"environment": "staging", "reason": "why"}],
        "roll_back_asset": [{"environment": "staging", "reason": "drill"}],
        "withdraw_version": [{"environment": "production", "reason": "over"}],
        "promote_composite": [{"environment": "development", "reason": "why"}],
        "withdraw_composite": [{"environment": "production", "reason": "over"}],
        "run_gates": [{}, {"dry_run": True}],
        "run_composite_gates": [{}, {"dry_run": True}],
        "register_mlflow_version": [{"upload_id": upload, "files": [file], "source": "models:/m"}],
        "reinstate_version": [{"reason": "needed again"}],
        "release_version": [{"reason": "looked at"}],
        "rename_asset": [{"name": "renamed-one", "reason": "clearer"}],
        "add_signer": [{"name": "bob", "pem": pem_of(p256(7)), "uses": ["signature"]}],
        "add_evidence": [
            {"files": [{"name": "notes", "sha256": file["sha256"], "kind": "other"}]},
        ],
        "import_vulnerability_database": [
            {"ecosystem": "PyPI", "sha256": file["sha256"], "name": "all.zip"},
        ],
        "register_composite": [
            {"system": "seeded", "components": _composite("model-one@1.0.0")},
            {"system": "fresh", "components": _composite("model-one@1"), "dry_run": True},
        ],
        "add_composite_evidence": [
            {"files": [{"name": "notes", "sha256": file["sha256"], "kind": "other"}]},
        ],
        "tell_lineage": [_told(1), _told(2)],
        "tell_lineage_batch": [[_told(3), _told(4)]],
        "create_webhook": [
            {"name": "new-hook", "url": "https://localhost:9/", "events": ["alias.set"]},
        ],
        "update_webhook": [{"description": "changed"}, {"events": ["version.abandon"]}],
        "new_webhook_secret": [{}, {"overlap_hours": 0}],
        "add_vex": [
            {"name": "vex.json", "dry_run": True, "document": VEX},
            {"name": "vex.json", "document": VEX},
        ],
        "welcome": [b"code=x&name=y"],
        "add_login_issuer": [
            {"name": "fresh-people", "url": "https://login.example", "client_id": "cli"}
        ],
        "set_group_roles": [{"roles": [{"group": "all", "role": "viewer", "namespace": "x"}]}],
        "add_issuer": [{"name": "fresh", "url": "https://ci.example", "provider": "gitlab"}],
        "add_publisher": [{"issuer": "ci", "rule": GITHUB_RULE, "permits": ["register"]}],
        "try_id_token": [{"claims": {"repository_id": "7"}}],
    }  # fmt: skip


def operation_id(case: AnyCase) -> str:
    """Name of the operation a request is made for."""
    return str(case.operation.definition.raw["operationId"])


def lead(seeded: Seeded, case: AnyCase) -> st.SearchStrategy[AnyCase]:
    """Put what is there into a generated request, parameter by parameter, more often than not."""

    @st.composite
    def led(draw: st.DrawFn) -> AnyCase:
        wholly = draw(st.booleans())  # one wrong parameter of four is enough for a 404
        for part in (case.path_parameters, case.query):
            for name in sorted(part or {}):
                own = f"{operation_id(case)}.{name}"
                known = seeded.values.get(own) or seeded.values.get(name)
                if known and part is not None and (wholly or draw(st.integers(0, 3))):
                    part[name] = draw(st.sampled_from(known))
        bodies = seeded.bodies.get(operation_id(case))
        if bodies and (wholly or draw(st.booleans())):
            case.body = draw(st.sampled_from(bodies))
        return case

    return led()


def harmless(victims: Collection[str], case: AnyCase) -> bool:
    """Say whether a request leaves the principals and tokens we call with alone.

    Only `victims` may be changed; a made-up id is never of version 7, as ours are.
    """
    if case.method.upper() == "GET":
        return True
    parameters = case.path_parameters or {}
    named = [str(parameters[name]) for name in ("principal_id", "token_id") if name in parameters]
    return all(text in victims or _is_nobody(text) for text in named)


def _is_nobody(text: str) -> bool:
    try:
        return uuid.UUID(text).version != 7
    except ValueError:
        return True


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with examples of what `seed` makes, where that is known beforehand."""
    known: dict[str, Any] = {
        "namespace": "default", "name": "model-one", "version": "1.0.0", "alias": "chosen",
        "path": "model.bin", "ref": "model-one@chosen",
        "left": "model-one@1.0.0", "right": "prompt-one@2", "filter": "owner = 'ada'",
    }  # fmt: skip
    copy: dict[str, Any] = json.loads(json.dumps(document))
    for methods in copy["paths"].values():
        for details in methods.values():
            for parameter in details["parameters"]:
                if parameter["name"] in known and details["operationId"] != "list_principals":
                    parameter["example"] = known[parameter["name"]]
                if parameter["name"] == "name" and details["operationId"] in OWN_ASSETS:
                    parameter["example"] = OWN_ASSETS[details["operationId"]]
            bodies = _bodies("").get(details["operationId"])
            content = details.get("requestBody", {}).get("content", {})
            if bodies and "application/json" in content:
                content["application/json"]["example"] = bodies[0]
    return copy
