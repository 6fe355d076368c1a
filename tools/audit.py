"""Security checks: ``make audit``.

cdk-nag (AwsSolutions, NIST 800-53 R5) and checkov on the synthesized templates, bandit on the
sources, pip-audit and npm audit on the lock files, and the licenses of the packages in the Lambda
layer. The exit status is 1 if a finding is not accepted, or if an accepted finding no longer
occurs. A check that cannot run, such as npm audit without a network, says NOT CHECKED. With
``--complete``, as for a release, the exit status is 1 then, too.
"""

from __future__ import annotations

import functools
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

from tools.accepted import BANDIT, CHECKOV, LICENSES, UNNAMED_LICENSES  # noqa: E402
from tools.templates import VARIANTS, nag_findings  # noqa: E402

TOOLS = Path(__file__).with_name("audit.in")
ENVIRONMENT = ROOT / ".cache" / "audit"
SOURCES = ["app.py", "examples", "hpoq", "infra", "lambdas", "layers", "tools", "training"]
LOCKS = [
    ROOT / "requirements.txt",
    ROOT / "layers" / "sagemaker_sdk" / "requirements.lock",
    ROOT / "hpoq" / "local" / "requirements.lock",
]


@dataclass(frozen=True)
class AuditFinding:
    """A finding of a tool: rule, place and description."""

    rule: str
    place: str
    text: str


class NotChecked(Exception):
    """A check that cannot run here, with the reason."""


@dataclass(frozen=True)
class AuditOutcome:
    """The result of one check: findings that are not accepted, and notes."""

    findings: tuple[AuditFinding, ...] = ()
    accepted: int = 0
    notes: tuple[str, ...] = ()
    checked: bool = True  # False: the check could not run

    @property
    def verdict(self) -> str:
        """The result in a few words."""
        if self.findings:
            return f"{len(self.findings)} to review; {self.accepted} accepted with a reason"
        if not self.checked:
            return "NOT CHECKED"
        return f"clean; {self.accepted} accepted with a reason"


def weigh(
    found: Iterable[AuditFinding], reasons: Mapping[tuple[str, str], str], *notes: str
) -> AuditOutcome:
    """Separate accepted findings from others, and report reasons that accept nothing.

    Args:
        found: the findings of the tool.
        reasons: the reason to accept a finding, by (rule, pattern of places).
        notes: remarks to print in any case.
    """
    left: list[AuditFinding] = []
    used: Counter[tuple[str, str]] = Counter()
    for each in found:
        keys = [key for key in reasons if key[0] == each.rule and fnmatch(each.place, key[1])]
        used.update(keys[:1])
        if not keys:
            left.append(each)
    left += [
        AuditFinding(*key, "accepted, but no longer found") for key in reasons if not used[key]
    ]
    return AuditOutcome(tuple(left), used.total(), notes)


def executable(name: str) -> str:
    """Return the path of a tool in the audit's environment.

    Raises:
        NotChecked: the environment cannot be built.
    """
    if problem := _installed(TOOLS, ENVIRONMENT):
        raise NotChecked(problem)
    return str(ENVIRONMENT / "bin" / name)


@functools.cache
def _installed(tools: Path, environment: Path) -> str:
    """(Re)build an environment of tools if necessary; return why that is impossible, or ""."""
    wanted, made = tools.read_text(), environment / "made-from"
    if made.exists() and made.read_text() == wanted:
        return ""
    sys.stderr.write(f"Installing {tools.name} into {environment.relative_to(ROOT)} (once)\n")
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    try:
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([*pip, "--disable-pip-version-check", "-r", str(tools)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{tools.name} could not be installed: {error}"
    made.write_text(wanted)
    return ""


def answer(*command: str) -> Any:
    """Run a tool and return its JSON output; its exit status only says whether it found anything.

    Raises:
        NotChecked: the tool is missing, or its output is not JSON.
    """
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return json.loads(ended.stdout)
    except OSError as error:
        raise NotChecked(str(error)) from None
    except ValueError:
        last = ended.stderr.strip().rpartition("\n")[2]  # of a traceback, the error
        raise NotChecked(f"{Path(command[0]).name} failed: {last[-500:]}") from None


def nag() -> AuditOutcome:
    """Run both cdk-nag packs on the default settings and on all settings."""
    found = [
        AuditFinding(rule, f"{variant}: {place}", text)
        for variant in VARIANTS
        for rule, place, text in nag_findings(variant)[1]
    ]
    return AuditOutcome(
        tuple(found), notes=("reasons are beside the constructs and in infra/nist.py",)
    )


def checkov() -> AuditOutcome:
    """Run checkov on the same templates."""
    found: set[AuditFinding] = set()
    with tempfile.TemporaryDirectory() as scratch:
        for variant in VARIANTS:
            path = Path(scratch) / f"{variant.replace(' ', '-')}.json"
            path.write_text(json.dumps(nag_findings(variant)[0]))
            command = ["--framework", "cloudformation", "--output", "json", "--file", str(path)]
            for each in answer(executable("checkov"), *command)["results"]["failed_checks"]:
                resource = re.sub(r"[0-9A-F]{8}$", "", each["resource"])
                found.add(AuditFinding(each["check_id"], resource, each["check_name"]))
    return weigh(sorted(found, key=str), CHECKOV)


def bandit() -> AuditOutcome:
    """Run bandit on all sources except tests."""
    command = ["--quiet", "--format", "json", "--exclude", "*/.cache/*", "--recursive", *SOURCES]
    results = answer(executable("bandit"), *command)["results"]
    found = [
        AuditFinding(each["test_id"], each["filename"].removeprefix("./"), each["issue_text"])
        for each in results
    ]
    return weigh(found, BANDIT)


def vulnerabilities() -> AuditOutcome:
    """Look for known vulnerabilities of the packages in the lock files."""
    found: list[AuditFinding] = []
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
            AuditFinding(flaw["id"], f"{place}: {each['name']}", flaw.get("description", "")[:200])
            for each in packages
            for flaw in each.get("vulns", ())
        ]
    if not known:
        notes.append("the vulnerability feed is not reachable")
    return AuditOutcome(tuple(found), notes=tuple(notes), checked=known > 0)


def npm_vulnerabilities() -> AuditOutcome:
    """Look for known vulnerabilities of the packages in package-lock.json."""
    return npm_outcome(answer("npm", "audit", "--json"))


def npm_outcome(report: Mapping[str, Any]) -> AuditOutcome:
    """Return the outcome of the JSON that ``npm audit --json`` prints, version 2."""
    if "vulnerabilities" not in report:
        problem = report.get("message", "no report")
        return AuditOutcome(notes=(f"the feed is not reachable: {problem}",), checked=False)
    found = [
        AuditFinding(each["severity"], f"package-lock.json: {name}", ", ".join(_titles(each)))
        for name, each in report["vulnerabilities"].items()
    ]
    packages = report["metadata"]["dependencies"]["total"]
    return AuditOutcome(tuple(found), notes=(f"package-lock.json: {packages} packages",))


def _titles(vulnerability: Mapping[str, Any]) -> list[str]:
    """Return the advisories of a package, or the packages through which it has them."""
    return [each if isinstance(each, str) else each["title"] for each in vulnerability["via"]]


def licenses() -> AuditOutcome:
    """Check and print the license of each package in the layer."""
    from infra.sdk_layer import build_module

    found = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            build_module().build(scratch)
        except SystemExit as error:  # its way to end with one line
            raise NotChecked(str(error)) from None
        shipped = sorted(distributions(path=[f"{scratch}/python"]), key=lambda each: each.name)
        for each in shipped:
            named = license_of(each)
            sys.stdout.write(f"    {each.name:<28}{each.version:<18}{named}\n")
            if not any(known in named for known in LICENSES):
                found.append(AuditFinding("license", each.name, named or "no license named"))
    reasons = {("license", name): reason for name, reason in UNNAMED_LICENSES.items()}
    return weigh(found, reasons, f"{len(shipped)} packages ship in the layer")


def license_of(package: Distribution) -> str:
    """Return the license that a package's metadata names, in the newest form it has."""
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


CHECKS: dict[str, Callable[[], AuditOutcome]] = {
    "cdk-nag: AwsSolutions and NIST 800-53 R5": nag,
    "checkov": checkov,
    "bandit": bandit,
    "pip-audit": vulnerabilities,
    "npm audit": npm_vulnerabilities,
    "licenses in the layer": licenses,
}


def audit(checks: Mapping[str, Callable[[], AuditOutcome]], *, complete: bool) -> int:
    """Run checks and print what they find.

    Args:
        checks: the checks by name.
        complete: fail also if a check could not run.

    Returns:
        1 if the audit failed, else 0.
    """
    status = 0
    unchecked: list[str] = []
    for name, check in checks.items():
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        try:
            outcome = check()
        except NotChecked as reason:
            outcome = AuditOutcome(notes=(str(reason),), checked=False)
        for each in outcome.findings:
            sys.stdout.write(f"  FOUND {each.rule} {each.place}: {each.text}\n")
        for note in outcome.notes:
            sys.stdout.write(f"    {note}\n")
        sys.stdout.write(f"  {outcome.verdict}\n")
        status |= bool(outcome.findings)
        unchecked += [] if outcome.checked else [name]
    if unchecked:
        sys.stdout.write(f"NOT CHECKED: {', '.join(unchecked)}. A release needs every check\n")
    return status | (complete and bool(unchecked))


if __name__ == "__main__":
    sys.exit(audit(CHECKS, complete="--complete" in sys.argv[1:]))
