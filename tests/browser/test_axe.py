"""Every page against axe-core's rules of WCAG 2.2 A and AA, light and dark, on a desk and on a phone.

.ci/axe installs axe-core from the npm registry into a cache, and says where it is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from api_scene import add_event
from test_review import PAGES

from watchtower.store.database import Database

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def axe(project: Path) -> str:
    """The text of axe-core."""
    try:
        found = subprocess.run([project / ".ci" / "axe"], capture_output=True, text=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("axe-core cannot be installed here (.ci/axe needs npm and its registry)")
    return Path(found.stdout.strip()).read_text()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_breaks_a_rule_of_wcag_aa(
    chromium: Any, address: str, furnished: Callable[..., Database], axe: str, scheme: str, width: int
) -> None:
    with furnished().begin() as conn:
        for number in range(1000, 1040):  # a plot to draw
            data = {"metric": "logins", "value": number % 7}
            add_event(conn, number, "account", "A-1", type="usage.recorded", source="p", data=data)
    # The policy of the pages would not let the checker in.
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    page = context.new_page()
    for path in PAGES:
        page.goto(address + path)
        page.evaluate(axe)
        found = page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES)
        wrong = [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]]
        assert wrong == [], path
    context.close()
