"""What really runs: the model with the letter it fills in. Approved together; another letter is not."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from demo import train, vouch
from demo.council import COUNCIL, Council
from demo.story import Story

LETTER = "reading-letter"
#: Of the model alone: a letter is not trained.
_OF_MODELS = (
    "training_datasets", "run", "hyperparameters", "training_date", "frameworks", "environment",
    "signature", "metrics", "fairness_metrics",
)  # fmt: skip
_TEXTS = {
    "1.0.0": "The second reading gives {{score}}, from 0 (malignant) to 1 (benign). You decide.",
    "2.0.0": "It is benign with a probability of {{score}}.",
}


def fill(template: str, score: float) -> str:
    """Return the letter about a score."""
    return template.replace("{{score}}", f"{score:.4f}")


class Together:
    """The model and its letter, one composite."""

    def __init__(self, story: Story, home: Path, model: str, council: Council) -> None:
        """Know them; nothing is made yet."""
        self.story, self.home, self.model, self.council = story, home, model, council
        self.cvi = ""

    def write(self, version: str) -> Path:
        """Write a letter and what is said of it; return its folder."""
        folder = self.home / f"letter-{version}"
        folder.mkdir()
        (folder / "letter.yaml").write_text(yaml.safe_dump({"template": _TEXTS[version]}))
        said = yaml.safe_load((self.home / "model.yaml").read_text())
        said = {name: value for name, value in said.items() if name not in _OF_MODELS}
        said |= {
            "prompt": {"template": _TEXTS[version], "variables": ["score"]},
            "intended_use": "Tells a pathologist what the second reading says.",
            "metrics": {"letters_with_a_score": self._readable(version)},
            "not_applicable": {"fairness_metrics": "the words are the same for everybody"},
        }
        (self.home / f"letter-{version}.meta.yaml").write_text(yaml.safe_dump(said))
        return folder

    def _scores(self, version: str) -> tuple[Any, Any, Any]:
        """Return truth, what stands in the letters about the test set, and textures."""
        truth, scores, texture = train.test_set(self.home / "model")
        letters = [fill(_TEXTS[version], score) for score in scores]
        read = [float(re.findall(r"\d\.\d{4}", letter)[0]) for letter in letters]
        return truth, np.array(read), texture

    def _readable(self, version: str) -> float:
        return float(len(self._scores(version)[1]) / len(train.test_set(self.home / "model")[0]))

    def register(self, version: str, job: dict[str, str]) -> str:
        """Have the pipeline register a letter, and its builder vouch for it; return its manifest's digest."""
        folder, ref = self.write(version), f"{LETTER}@{version}"
        self.story.run(
            "register", LETTER, "--version", version, "--kind", "prompt", "--artifact", str(folder),
            "--metadata", f"{folder}.meta.yaml", shows=version, environ=job,
        )  # fmt: skip
        shown = json.loads(self.story.run("show", ref, "--json", quiet=True))
        desk = self.home / f"desk-{version}"
        desk.mkdir()
        shutil.copy(self.home / "builder.pem", desk)
        bom = json.loads((self.home / "sbom.json").read_text())
        bom["components"] = [one for one in bom["components"] if one["name"].lower() == "pyyaml"]
        kept = {one["bom-ref"] for one in bom["components"]}
        bom["dependencies"] = [one for one in bom["dependencies"] if one["ref"] in kept]
        (desk / "sbom.json").write_text(json.dumps(bom))
        data = (folder / "letter.yaml").read_bytes()
        vouch.write_provenance(desk, {"letter.yaml": hashlib.sha256(data).hexdigest()}, "builder")
        context = vouch.write_context(desk, "sbom.json", shown["manifest_digest"])
        files = [str(desk / "sbom.json"), str(desk / "provenance.json")]
        said = f"--context=sbom.json={context}"
        self.story.run("evidence", "add", ref, *files, said, quiet=True)
        return str(shown["manifest_digest"])

    def pin(self, version: str) -> str:
        """Register the composite of the model and a letter; return its CVI."""
        made = self.story.run(
            "composite", "create", "second-reading", "--pin", self.model,
            "--pin", f"{LETTER}@{version}", "--none", "adapter=no adapter",
            "--none", "code=the viewer calls it directly", "--none", "data=nothing is looked up",
            "--none", "config=all defaults", "--none", "env=the viewer's own", "--json", quiet=True,
        )  # fmt: skip
        return str(json.loads(made)["cvi"])

    def evaluate(self, version: str, manifest: str) -> None:
        """Measure what the letters say, whole: model and words together."""
        desk = self.home / f"desk-{version}"
        truth, scores, texture = self._scores(version)
        vouch.write_evaluation(desk, truth, scores)
        vouch.write_fairness(desk, truth, scores > 0.5, texture)  # noqa: PLR2004 -- even odds
        names = ("evaluation.json", "fairness.json")
        contexts = [f"--context={n}={vouch.write_context(desk, n, manifest)}" for n in names]
        self.story.run("evidence", "add", self.cvi, *(str(desk / n) for n in names), *contexts)
        self.story.run("evidence", "gates", self.cvi)

    def approve(self, job: dict[str, str]) -> None:
        """Pin, evaluate, ask, and have three people sign the whole."""
        story = self.story
        story.step(
            "What really runs is the model with a letter: one composite, evaluated as it runs"
        )
        manifest = self.register("1.0.0", job)
        self.cvi = self.pin("1.0.0")
        story.run("composite", "show", self.cvi, shows=self.cvi)
        story.say("what was measured of the model alone says nothing of what people will read:")
        story.run("why-not", self.cvi, "--for", "production", exit_code=4, shows="EVAL-003")
        self.evaluate("1.0.0", manifest)
        story.step("Three people sign the composite, and by that no other with this model")
        self.council.waive_card(f"{LETTER}@1.0.0")
        self.council.run(
            "rita", "request", self.cvi, "--to", "production", "--change", "substantial",
            "--reason", "the letter goes out", "--reference", "AI-1191",
        )  # fmt: skip
        for name, role in COUNCIL.items():
            self.council.run(name, "approve", self.cvi, "--as", role)
        story.run("composite", "show", self.cvi, shows="production until")
        story.step("Production would go back to the model alone: that is tried first, in staging")
        for what in (self.model, self.cvi):
            story.run("promote", what, "--env", "staging", environ=job, quiet=True)
        drill = ("rollback", "fraud-detector", "--env", "staging", "--reason", "drill")
        self.council.run("sam", *drill)
        story.step("The pipeline promotes it whole: both names move in one transaction")
        story.run("promote", self.cvi, "--env", "production", environ=job)
        story.run("deployments", "fraud-detector", shows=self.cvi[:12])

    def change_the_letter(self, job: dict[str, str]) -> None:
        """Other words are another composite, and nobody approved that."""
        story = self.story
        story.step("Somebody changes the words of the letter: nobody approved that, by itself")
        self.register("2.0.0", job)
        other = self.pin("2.0.0")
        story.say(f"another composite: {other}")
        story.run("why-not", other, "--for", "production", exit_code=4, shows="EVAL-003")
        story.run("promote", other, "--env", "production", environ=job, exit_code=4)
