"""The community nodes in a real n8n: an alert goes there, an acknowledgement and an event come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLE = "WATCHTOWER_TRY_N8N"


def test_the_package_names_what_is_there(project: Path) -> None:
    folder = project / "integrations" / "n8n"
    package = json.loads((folder / "package.json").read_text())
    assert "n8n-community-node-package" in package["keywords"] and package["name"].startswith("n8n-nodes-")
    for built in (*package["n8n"]["credentials"], *package["n8n"]["nodes"]):
        assert (folder / built).is_file(), f"{built}: run npm run build in integrations/n8n"
        source = folder / built.removeprefix("dist/").replace(".js", ".ts")
        for word in ("displayName: '", "name: '"):
            assert source.read_text().count(word) == (folder / built).read_text().count(word), f"{built} is of old"


def test_an_alert_goes_to_a_real_n8n_and_an_event_comes_back(project: Path) -> None:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} names no folder with an n8n (python integrations/n8n/try.py --n8n FOLDER --install)")
    command = [sys.executable, str(project / "integrations" / "n8n" / "try.py"), "--n8n", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "an event came back: activity.logged from n8n" in done.stdout
