"""The rules of accessibility that a page breaks, by axe-core."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.browser import Browser

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
# WCAG 2.2, levels A and AA, and the advice of axe's authors.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHECK = f"""
window.found = "";
axe.run(document, {{runOnly: {json.dumps(RULES)}, resultTypes: ["violations"]}})
  .then((found) => {{ window.found = JSON.stringify(found.violations.map(
    (each) => [each.id, each.nodes.map((node) => node.html + " " + node.failureSummary)])) }});
"""


def violations(browser: Browser) -> list[Any]:
    """Return the rules that the page breaks, each with its elements."""
    assert AXE.exists(), "axe-core is not installed: npm ci"
    browser.get(AXE.read_text() + "; true")
    browser.get(CHECK + "; true")
    return list(json.loads(browser.wait_for("window.found")))
