"""`watchtower keys`, and the tower's door with them: a source's key cannot speak as another source."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
from command_line import RULEBOOK, lead, wt
from test_cli_up import up

from watchtower.contract import parse_time


def test_keys_are_made_listed_and_revoked_and_the_running_service_heeds_them(tmp_path: Path, free_port: int) -> None:
    data, book = tmp_path / "data", tmp_path / "book.yaml"
    book.write_text(RULEBOOK)
    with up(data, free_port, "--rulebook", book) as (_, url):
        assert httpx.get(f"{url}/alerts").status_code == 200
        made = wt("keys", "add", "--role", "source", "--name", "crm", "--data", data, "--json").json()
        crm = {"authorization": f"Bearer {made['key']}"}
        admin = {
            "authorization": "Bearer "
            + wt("keys", "add", "--role", "admin", "--name", "Ann", "--data", data).out.strip()
        }
        assert httpx.get(f"{url}/alerts").status_code == 401
        assert httpx.get(f"{url}/alerts", headers=crm).status_code == 403
        assert httpx.get(f"{url}/alerts", headers=admin).status_code == 200

        at = parse_time("2026-03-02T09:00:00Z")
        own, other = lead("s1", "L-1", at, stage="mql"), lead("s2", "L-2", at, stage="mql") | {"source": "billing"}
        verdicts = httpx.post(f"{url}/events", headers=crm, json=[own | {"source": "crm"}, other]).json()["verdicts"]
        assert [verdict["status"] for verdict in verdicts] == ["accepted", "refused"]
        assert "'billing' is not the credential's 'crm'" in verdicts[1]["reason"]

        listed = wt("keys", "list", "--data", data, "--json")
        assert [(row["role"], row["name"], row["revoked_at"]) for row in listed.json()] == [
            ("source", "crm", None), ("admin", "Ann", None),
        ]  # fmt: skip
        assert made["key"] not in listed.out
        wt("keys", "revoke", made["id"], "--data", data)
        assert httpx.post(f"{url}/events", headers=crm, json=own).status_code == 401
        assert json.loads(wt("keys", "list", "--data", data, "--json").out)[0]["revoked_at"] is not None
