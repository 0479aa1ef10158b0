"""Register a real model with its evidence, get it back, prove it offline; then catch forgeries."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from demo import flaws, forge, pipeline, train, vouch
from demo.council import LATER_DAYS, Council
from demo.story import MUNIMENT, Story, console
from demo.together import LETTER, Together
from tests.support.issuer import Issuer

REF = "fraud-detector@1.0.0"
START_SECONDS = 60
READY = 200


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A `muniment serve` of this demo's own."""

    def __init__(self, story: Story, data: Path, port: int) -> None:
        """Know where; start nothing."""
        self.story, self.data, self.port = story, data, port
        self.process: subprocess.Popen[bytes] | None = None
        self.log = story.home / "server.log"

    def start(self) -> None:
        """Start it and wait until it answers `/readyz`."""
        command = ["serve", "--host", "127.0.0.1", "--port", str(self.port), "--data"]
        self._start([*MUNIMENT, *command, str(self.data)], f"muniment {' '.join(command)} ./data")

    def start_later(self, days: int) -> None:
        """Start it with a clock that is `days` ahead, on a copy of its data."""
        copy = self.data.with_name("data-later")
        shutil.copytree(self.data, copy)
        command = ["-m", "demo.later", str(days), str(self.port)]
        told = f"python {' '.join(command)} ./data-later"
        self._start([sys.executable, *command, str(copy)], told)

    def _start(self, command: list[str], told: str) -> None:
        console.print(f"   [bold]$ {told} &[/]")
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 -- our own command
                command, env=self.story.environ, stdout=log, stderr=log
            )
        while not self._ready():
            self.story.expect(
                "the server starts",
                self.process.poll() is None and time.monotonic() - began < START_SECONDS,
                "a running server",
                self.log.read_text()[-2000:],
            )
            time.sleep(0.05)
        self.story.say(f"ready after {time.monotonic() - began:.1f} s")

    def stop(self) -> None:
        """Stop it as an operator would, and wait."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)
        self.process = None

    def _ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port}/readyz"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == READY)
        except OSError:
            return False


def register_and_find(story: Story, home: Path, job: dict[str, str]) -> None:
    """From a trained model to an alias that somebody else resolves."""
    story.step("Train a real classifier (scikit-learn, its breast cancer dataset)")
    trained = train.fit(home)
    story.say(
        f"wrote ./model ({trained.size_bytes:,} bytes) and ./model.yaml; ROC AUC {trained.auc:.4f}"
    )

    story.step(
        "Register it, as the pipeline: bytes, metadata and a signed entry in the log, in one command"
    )
    story.run(
        "register",
        "fraud-detector",
        "--version",
        "1.0.0",
        "--kind",
        "model",
        "--artifact",
        str(home / "model"),
        "--metadata",
        str(home / "model.yaml"),
        shows="1.0.0",
        environ=job,
    )
    story.say("the same again gives the same answer; other bytes under that version are refused:")
    story.run(
        "register",
        "fraud-detector",
        "--version",
        "1.0.0",
        "--artifact",
        str(home / "model"),
        "--metadata",
        str(home / "model.yaml"),
        quiet=True,
        environ=job,
    )
    shutil.copytree(home / "model", home / "other-model")
    (home / "other-model" / "threshold.txt").write_text("0.4\n")
    story.run(
        "register",
        "fraud-detector",
        "--version",
        "1.0.0",
        "--artifact",
        str(home / "other-model"),
        "--metadata",
        str(home / "model.yaml"),
        exit_code=1,
        environ=job,
    )

    story.step("Find it, and give it a name that deployments resolve")
    story.run(
        "search", "metrics.roc_auc > 0.9 AND framework = 'scikit-learn'", shows="fraud-detector"
    )
    story.run("alias", "set", "fraud-detector", "challenger", "1.0.0", "--reason", "first release")
    story.run("show", "fraud-detector@challenger", shows="1.0.0")


def vouch_for_it(story: Story, home: Path) -> None:
    """What it is made of, who built it, who signed it, how good and how fair it is: as files."""
    story.step("Believe a builder and a person: two public keys, two acts in the log")
    story.run(
        "signer", "add", "builder", "--key", str(home / "builder.pub"), "--builder", vouch.BUILDER
    )
    story.run("signer", "add", "ada", "--key", str(home / "ada.pub"), "--use", "signature")

    story.step("Add what tools wrote: SBOM, provenance, evaluation, fairness; and sign the files")
    story.run("evidence", "add", REF, str(vouch.write_plan(home)))
    story.say("thresholds come first: a plan counts only for what is measured after it")
    components = vouch.write_sbom(home)
    story.say(f"cyclonedx-py listed this environment: {components} components")
    files = (path for path in (home / "model").rglob("*") if path.is_file())
    vouch.write_provenance(
        home,
        {
            str(path.relative_to(home / "model")): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        },
        "builder",
    )
    truth, scores, texture = train.test_set(home / "model")
    vouch.write_evaluation(home, truth, scores)
    vouch.write_fairness(home, truth, scores > 0.5, texture)  # noqa: PLR2004 -- even odds
    story.say("scikit-learn and fairlearn measured the test set, with bootstrap intervals")
    manifest = json.loads(story.run("show", REF, "--json", quiet=True))["manifest_digest"]
    names = ("sbom.json", "provenance.json", "evaluation.json", "fairness.json")
    contexts = [
        f"--context={name}={vouch.write_context(home, name, manifest)}"
        for name in names
        if name != "provenance.json"
    ]
    story.run(
        "evidence", "add", REF, *(str(home / name) for name in names), *contexts,
        shows="provenance.json",
    )  # fmt: skip
    story.run("evidence", "gates", REF)
    story.run(
        "sign", REF, "--key", str(home / "ada.pem"), "-o", str(home / "model.sig"), shows="verified"
    )
    story.run(
        "verify", REF, "--require", "signature", "--require", "provenance",
        shows="Bytes verified, signature verified, provenance verified, receipt verified",
    )  # fmt: skip

    flaws.find_and_answer(story, home, REF)


def refuse_what_is_forged(story: Story, home: Path) -> None:
    """Evidence and files that are not what they say."""
    story.step(
        "Somebody else's signature in the builder's name, and a pickle with a gadget: refused"
    )
    shutil.copy(home / "provenance.json", home / "forged.json")
    vouch.forge_provenance(home / "forged.json", home / "builder.pub")
    story.run("evidence", "add", REF, str(home / "forged.json"), exit_code=1, shows="did not make")
    vouch.write_gadget(home / "evil")
    story.run("scan", "--local", str(home / "evil"), exit_code=3, shows="pickle.runs-code")


def use_it(story: Story) -> None:
    """A team says what it uses the model for; another wants what its owner ruled out."""
    story.step("A system uses it for what it is for; for what it is not for, nobody begins to")
    bind = ("consumer", "bind", "fraud-detector", "--env", "production", "--endpoint")
    ward, desk = "https://ward.example/viewer", "https://desk.example/triage"
    story.run(*bind, ward, "--system", "ward-viewer", "--use-case", "second-reading")
    story.run(
        *bind, desk, "--system", "front-desk", "--use-case", "diagnosis-without-review",
        exit_code=3, shows="USE-001",
    )  # fmt: skip
    story.run("consumer", "list", "fraud-detector", shows="ward-viewer")


def get_it_back(story: Story, home: Path) -> None:
    """Download elsewhere, load, predict the same."""
    story.step("Download it elsewhere, every byte verified; load it and predict")
    story.run("download", "fraud-detector@challenger", "--to", str(home / "elsewhere"))
    same = train.predict(home / "elsewhere") == train.predict(home / "model")
    story.expect("the downloaded model predicts", same, "the same predictions as the original")
    for original in sorted((home / "model").rglob("*")):
        if original.is_file():
            copy = home / "elsewhere" / original.relative_to(home / "model")
            story.expect(str(copy), copy.read_bytes() == original.read_bytes(), "identical bytes")
    story.say("byte-identical, and the loaded copy predicts what the original predicts")


def prove_it_offline(story: Story, home: Path, server: Server, council: Council) -> None:
    """Keep the receipt, stop the server, verify with nothing but a public key."""
    story.step("Keep the receipt and the public keys, stop the server, verify offline")
    receipt = home / "fraud-detector.receipt.json"
    story.run("log", "receipt", REF, "--out", str(receipt))
    story.run("log", "keys", "--out", str(home / "keys.json"), quiet=True)
    (home / "signers.json").write_text(story.run("signer", "list", "--json", quiet=True))
    council.export()
    server.stop()
    story.say("server stopped")
    council.verify(home / "keys.json")
    story.run(
        "verify",
        str(receipt),
        "--offline",
        "--keys",
        str(home / "keys.json"),
        "--dir",
        str(home / "elsewhere"),
        "--signers",
        str(home / "signers.json"),
        "--signature",
        str(home / "model.sig"),
        "--provenance",
        str(home / "provenance.json"),
        shows="Bytes verified, signature verified, provenance verified, receipt verified",
    )
    document = json.loads(receipt.read_text())
    document["index"] += 1
    forged = home / "forged.receipt.json"
    forged.write_text(json.dumps(document))
    story.say("a receipt that claims another place in the log does not verify:")
    story.run("verify", str(forged), "--offline", "--keys", str(home / "keys.json"), exit_code=1)


def catch_forgeries(story: Story, home: Path, server: Server) -> None:
    """One flipped byte, one changed row."""
    story.step("Flip one byte of the stored model: verify names the file")
    server.start()
    story.run("verify", REF)
    flipped = forge.flip_byte(server.data, home / "model" / "model.joblib")
    story.say(f"flipped one bit in ./{flipped.relative_to(home)}")
    story.run("verify", REF, exit_code=1, shows="model.joblib")
    forge.flip_byte(server.data, home / "model" / "model.joblib")
    story.run("verify", REF, quiet=True)
    story.say("flipped back: verifies again")
    server.stop()

    story.step("Change one row as the database's superuser: fsck names it")
    story.run("fsck", "--data", str(server.data), "--sample", "all")
    asyncio.run(forge.change_row(server.data))
    story.say("superuser switched the triggers off and changed `version.metrics_at_registration`")
    story.run("fsck", "--data", str(server.data), "--sample", "all", exit_code=1, shows="version")


def move_on(story: Story, server: Server, council: Council) -> None:
    """The same registry, 91 days later."""
    story.step(
        "91 days later, by the server's own clock: nobody did anything, and nothing is approved"
    )
    server.start_later(LATER_DAYS)
    council.has_ended()
    server.stop()


def main() -> None:
    """Tell the story; leave with 1 at the first surprise."""
    console.print("[bold]Muniment: the main job, on a real model[/]")
    home = Path(tempfile.mkdtemp(prefix="muniment-demo-"))
    story = Story(home)
    server = Server(story, home / "data", free_port())
    issuer = Issuer()
    story.environ["MUNIMENT_OUTBOUND_PRIVATE"] = issuer.host
    for name in ("builder", "ada"):
        vouch.make_key(home, name)
    story.environ["MUNIMENT_EVIDENCE_KEYS"] = (home / "builder.pub").read_text()
    story.environ["MUNIMENT_URL"] = f"http://127.0.0.1:{server.port}"
    council = Council(story, home, REF)
    try:
        story.step("Start a registry on an empty directory (its own PostgreSQL included)")
        server.start()
        story.run("whoami")
        pipeline.trust(story, issuer, "fraud-detector", LETTER)
        job = pipeline.job(story, home, f"http://127.0.0.1:{server.port}", issuer)
        register_and_find(story, home, job)
        vouch_for_it(story, home)
        refuse_what_is_forged(story, home)
        council.admit()
        council.decide()
        council.promote(job)
        together = Together(story, home, REF, council)
        together.approve(job)
        together.change_the_letter(job)
        use_it(story)
        get_it_back(story, home)
        prove_it_offline(story, home, server, council)
        move_on(story, server, council)
        catch_forgeries(story, home, server)
        console.print(f"\n[bold green]Every step went as told[/], in {story.seconds:.0f} s.")
    finally:
        server.stop()
        issuer.close()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
