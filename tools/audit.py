"""Security checks: ``make audit``.

cdk-nag (AwsSolutions, NIST 800-53 R5) and checkov on the synthesised templates, bandit on the
sources, pip-audit on both locks as far as its feed can be reached, and the licences of what the
Lambda layer ships. Exit status 1 if anything is found that no reason accepts, and also if a
reason has nothing left to accept.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "lambdas")]

from tools.accepted import BANDIT, CHECKOV, LICENCES, UNNAMED_LICENCES  # noqa: E402
from tools.templates import VARIANTS, nag_findings  # noqa: E402

TOOLS = Path(__file__).with_name("audit.in")
ENVIRONMENT = ROOT / ".cache" / "audit"
SOURCES = ["app.py", "examples", "hpoq", "infra", "lambdas", "layers", "tools", "training"]
LOCKS = [ROOT / "requirements.txt", ROOT / "layers" / "sagemaker_sdk" / "requirements.lock"]


@dataclass(frozen=True)
class Finding:
    """Something a tool objects to: its rule, where, and in words."""

    rule: str
    place: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What one check has found, and what it wants to say besides."""

    findings: tuple[Finding, ...] = ()
    accepted: int = 0
    notes: tuple[str, ...] = ()
    checked: bool = True  # False: the tool could not look

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.findings:
            return f"{len(self.findings)} to look at; {self.accepted} accepted with a reason"
        if not self.checked:
            return "NOT CHECKED"
        return f"clean; {self.accepted} accepted with a reason"


def weigh(found: Iterable[Finding], reasons: Mapping[tuple[str, str], str], *notes: str) -> Outcome:
    """Part what a reason accepts from what none does, and name reasons that accept nothing.

    Args:
        found: what the tool says.
        reasons: (rule, place as a pattern) -> why it is right as it is.
        notes: said in any case.
    """
    left: list[Finding] = []
    used: Counter[tuple[str, str]] = Counter()
    for each in found:
        keys = [key for key in reasons if key[0] == each.rule and fnmatch(each.place, key[1])]
        used.update(keys[:1])
        if not keys:
            left.append(each)
    left += [Finding(*key, "accepted, but not found any more") for key in reasons if not used[key]]
    return Outcome(tuple(left), used.total(), notes)


def executable(name: str) -> str:
    """A tool of the audit's own environment, which is made when its list has changed."""
    wanted, made = TOOLS.read_text(), ENVIRONMENT / "made-from"
    if not made.exists() or made.read_text() != wanted:
        sys.stderr.write(f"Installing {TOOLS.name} into {ENVIRONMENT.relative_to(ROOT)} (once)\n")
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", "-r", str(TOOLS)], check=True)
        made.write_text(wanted)
    return str(ENVIRONMENT / "bin" / name)


def answer(*command: str) -> Any:
    """A tool's JSON; its exit status says no more than that there are findings.

    Raises:
        SystemExit: it said nothing that could be read.
    """
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        return json.loads(ended.stdout)
    except ValueError:
        sys.exit(f"audit: {Path(command[0]).name} failed: {ended.stderr[-2000:]}")


def nag() -> Outcome:
    """Both cdk-nag packs, on the default settings and on all of them."""
    found = [
        Finding(rule, f"{variant}: {place}", text)
        for variant in VARIANTS
        for rule, place, text in nag_findings(variant)[1]
    ]
    return Outcome(
        tuple(found), notes=("the reasons lie beside the constructs and in infra/nist.py",)
    )


def checkov() -> Outcome:
    """Checkov on the same templates."""
    found: set[Finding] = set()
    with tempfile.TemporaryDirectory() as scratch:
        for variant in VARIANTS:
            path = Path(scratch) / f"{variant.replace(' ', '-')}.json"
            path.write_text(json.dumps(nag_findings(variant)[0]))
            command = ["--framework", "cloudformation", "--output", "json", "--file", str(path)]
            for each in answer(executable("checkov"), *command)["results"]["failed_checks"]:
                resource = re.sub(r"[0-9A-F]{8}$", "", each["resource"])
                found.add(Finding(each["check_id"], resource, each["check_name"]))
    return weigh(sorted(found, key=str), CHECKOV)


def bandit() -> Outcome:
    """Bandit on everything that ships or runs, tests left out."""
    command = ["--quiet", "--format", "json", "--exclude", "*/.cache/*", "--recursive", *SOURCES]
    results = answer(executable("bandit"), *command)["results"]
    found = [
        Finding(each["test_id"], each["filename"].removeprefix("./"), each["issue_text"])
        for each in results
    ]
    return weigh(found, BANDIT)


def vulnerabilities() -> Outcome:
    """Known vulnerabilities of what both locks pin."""
    found: list[Finding] = []
    notes: list[str] = []
    known = 0
    for lock in LOCKS:
        command = ["--format", "json", "--no-deps", "--disable-pip", "--requirement", str(lock)]
        packages = answer(executable("pip-audit"), *command)["dependencies"]
        unknown = [each["name"] for each in packages if "skip_reason" in each]
        place = lock.relative_to(ROOT).as_posix()
        known += len(packages) - len(unknown)
        notes.append(f"{place}: {len(unknown)} of {len(packages)} packages unknown to the feed")
        found += [
            Finding(flaw["id"], f"{place}: {each['name']}", flaw.get("description", "")[:200])
            for each in packages
            for flaw in each.get("vulns", ())
        ]
    if not known:
        notes.append("the feed of vulnerabilities cannot be reached from here")
    return Outcome(tuple(found), notes=tuple(notes), checked=known > 0)


def licences() -> Outcome:
    """Licences of every package in the layer; the table goes to stdout."""
    from infra.sdk_layer import build_module

    found = []
    with tempfile.TemporaryDirectory() as scratch:
        build_module().build(scratch)
        shipped = sorted(distributions(path=[f"{scratch}/python"]), key=lambda each: each.name)
        for each in shipped:
            licence = licence_of(each)
            sys.stdout.write(f"    {each.name:<28}{each.version:<18}{licence}\n")
            if not any(known in licence for known in LICENCES):
                found.append(Finding("licence", each.name, licence or "names no licence"))
    reasons = {("licence", name): reason for name, reason in UNNAMED_LICENCES.items()}
    return weigh(found, reasons, f"{len(shipped)} packages ship in the layer")


def licence_of(package: Distribution) -> str:
    """What a package says of its licence, in its newest or its oldest way."""
    metadata = package.metadata
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classified = [
        line.rsplit(" :: ", 1)[-1]
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    written = metadata.get_all("License") or [""]
    return "; ".join(classified) or written[0].split("\n", 1)[0]


CHECKS: dict[str, Callable[[], Outcome]] = {
    "cdk-nag: AwsSolutions and NIST 800-53 R5": nag,
    "checkov": checkov,
    "bandit": bandit,
    "pip-audit": vulnerabilities,
    "licences in the layer": licences,
}


def main() -> int:
    """Run every check; say what was found; exit status 1 if anything was."""
    status = 0
    for name, check in CHECKS.items():
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        outcome = check()
        for each in outcome.findings:
            sys.stdout.write(f"  FOUND {each.rule} {each.place}: {each.text}\n")
        for note in outcome.notes:
            sys.stdout.write(f"    {note}\n")
        sys.stdout.write(f"  {outcome.verdict}\n")
        status |= bool(outcome.findings)
    return status


if __name__ == "__main__":
    sys.exit(main())
