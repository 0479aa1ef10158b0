"""From a candidate to production: a policy, three people with keys of their own, and a pipeline."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from demo.story import Story

#: Who signs, and in which role.
COUNCIL = {"pat": "product", "paul": "platform", "sam": "security"}
#: What they vouch for; the starter bundle demands it of high risk.
SIGN_OFFS = {"product": "metrics-reviewed", "platform": "entry-verified"}
#: An approval holds 90 days.
LATER_DAYS = 91


class Council:
    """People of this demo, each with a home, a token and a key of their own."""

    def __init__(self, story: Story, home: Path, ref: str) -> None:
        """Know them; nobody exists yet."""
        self.story, self.home, self.ref = story, home, ref
        self.environs: dict[str, dict[str, str]] = {}
        self.decision = ""

    def admit(self) -> None:
        """Make the people, their roles and their keys."""
        self.story.step("Give three people a role each, and each a key of their own")
        roles = {name: f"approver_{role}" for name, role in COUNCIL.items()}
        for name, role in {"rita": "contributor", **roles}.items():
            made = json.loads(self.story.run("principal", "create", name, "--json", quiet=True))
            self.story.run("role", "grant", made["id"], role, "--on", "default", quiet=True)
            token = self.story.run(
                "token", "create", "demo", "--principal", made["id"], "--json", quiet=True
            )
            self.environs[name] = {
                **self.story.environ,
                "MUNIMENT_CONFIG_HOME": str(self.home / name),
                "MUNIMENT_URL": self.story.environ["MUNIMENT_URL"],
                "MUNIMENT_TOKEN": json.loads(token)["token"],
            }
            if name in COUNCIL:
                self.run(name, "key", "create")

    def run(self, who: str, *arguments: str, exit_code: int = 0, shows: str = "") -> str:
        """Run a command as one of them."""
        self.story.say(f"[italic]{who}:[/]")
        return self.story.run(
            *arguments, exit_code=exit_code, shows=shows, environ=self.environs[who]
        )

    def decide(self) -> None:
        """Ask, be refused to sign for oneself, and have three others sign."""
        self.story.step("Ask for approval: what reviewers will see is frozen, by digest")
        self.run(
            "rita", "request", self.ref, "--to", "production", "--change", "substantial",
            "--reason", "second reading goes live", "--reference", "AI-1187",
        )  # fmt: skip
        self.story.say("who asked does not approve, whatever her roles:")
        me = json.loads(
            self.story.run("whoami", "--json", quiet=True, environ=self.environs["rita"])
        )
        self.story.run("role", "grant", me["id"], "approver_product", quiet=True)
        self.run("rita", "approve", self.ref, "--as", "product", exit_code=3)
        self.waive()
        self.story.step(
            "Three people sign exactly that, each with their own key; the registry decides"
        )
        for name, role in COUNCIL.items():
            signed_off = ("--sign-off", SIGN_OFFS[role]) if role in SIGN_OFFS else ()
            self.run(name, "approve", self.ref, "--as", role, *signed_off)
        made = self.story.run(
            "decision", "list", "--version", self.ref, "--json",
            quiet=True, environ=self.environs["sam"],
        )  # fmt: skip
        self.decision = json.loads(made)[0]["id"]
        self.run("sam", "decision", "show", self.decision, shows="approved")

    def waive(self) -> None:
        """Waive a rule that may be, until a day; and try one that may not."""
        self.story.step(
            "There is no model card yet: a signed exception, until a day; for some rules, never"
        )
        self._grant("SEC-003", self.ref, exit_code=3)
        self.waive_card(self.ref)

    def waive_card(self, ref: str) -> None:
        """Do without a model card for a month."""
        self._grant("DOC-001", ref)

    def _grant(self, rule: str, ref: str, exit_code: int = 0) -> None:
        day = (dt.datetime.now(dt.UTC) + dt.timedelta(days=30)).date().isoformat()
        until = ("--for", ref, "--env", "production", "--until", day)
        why = ("--reason", "it is being written", "--control", "every reading is reviewed")
        self.run("sam", "exception", "grant", rule, *until, *why, exit_code=exit_code)

    def promote(self, job: dict[str, str]) -> None:
        """Nobody but the pipeline executes it."""
        self.story.step("An administrator may not move production; the pipeline may")
        self.story.run("promote", self.ref, "--env", "production", exit_code=3, shows="pipeline")
        self.story.run(
            "promote", self.ref, "--env", "production", "--decision", self.decision, environ=job
        )
        self.story.run("show", "fraud-detector@champion", shows="1.0.0")

    def export(self) -> None:
        """Keep the decision as a file."""
        self.story.run("decision", "export", self.decision, "-o", str(self.home / "decision.json"))

    def verify(self, keys: Path) -> None:
        """Check the decision offline, now and when it has ended."""
        file = str(self.home / "decision.json")
        self.story.run("decision", "verify", file, "--key", str(keys))
        later = (dt.datetime.now(dt.UTC) + dt.timedelta(days=LATER_DAYS)).date().isoformat()
        self.story.say("in 91 days the same decision does not hold any more, by itself:")
        self.story.run("decision", "verify", file, "--key", str(keys), "--at", later, exit_code=1)

    def has_ended(self) -> None:
        """The registry says what the file said: the approval is over, and production would be denied."""
        shown = json.loads(self.story.run("decision", "show", self.decision, "--json", quiet=True))
        self.story.expect("decision show", shown["holds"] is False, "it does not hold", shown)
        for one in shown["reasons"]:
            self.story.say(f"{one['code']}: {one['message']}")
        codes = {one["code"] for one in shown["reasons"]}
        self.story.expect("decision show", "expired" in codes, "reason `expired`", codes)
        self.story.run("why-not", self.ref, "--for", "production", exit_code=3, shows="APPR-002")
