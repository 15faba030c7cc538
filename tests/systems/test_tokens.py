"""Access tokens that end: renewed once and by one process, kept sealed, and told of where they are refused."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_line import begin, inside, wt
from fakes import outreach as outreaches
from fakes.oauth import APP, FIRST, TokenServer
from fakes.serving import serving
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower, system_clock
from watchtower.bootstrap.tokens import KeptTokens
from watchtower.connectors.oauth import ENDPOINTS, renew, renews
from watchtower.connectors.systems import SYSTEMS
from watchtower.contract.system import Asked
from watchtower.errors import SystemFault
from watchtower.store import tokens as store
from watchtower.store.database import open_database

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
name: selling
objects:
  account:
    fields: {name: {type: text}}
roles: {sales: Sales}
systems:
  outreach:
    kind: outreach
    owner: sales
    every: 15 minutes
    objects:
      account: {from: accounts, fields: {name: name}}
"""


@dataclass
class Scene:
    tower: Tower
    outreach: outreaches.Outreach
    clock: Clock

    @property
    def oauth(self) -> TokenServer:
        assert self.outreach.oauth is not None
        return self.outreach.oauth

    def tokens(self) -> KeptTokens:
        """As another process would read them."""
        credentials = {"CLIENT_ID": APP["client_id"], "CLIENT_SECRET": APP["client_secret"], "REFRESH_TOKEN": FIRST,
                       "URL": self.outreach.url}  # fmt: skip
        return KeptTokens(self.tower.database, self.clock, "outreach", "outreach", credentials)

    def accounts(self, count: int) -> None:
        for number in range(1, count + 1):
            self.outreach.set("accounts", "account", number, self.clock() + timedelta(seconds=number), {}, name="N")


def credentials(outreach: outreaches.Outreach) -> dict[str, str]:
    return {
        "WATCHTOWER_OUTREACH_CLIENT_ID": APP["client_id"], "WATCHTOWER_OUTREACH_CLIENT_SECRET": APP["client_secret"],
        "WATCHTOWER_OUTREACH_REFRESH_TOKEN": FIRST, "WATCHTOWER_OUTREACH_URL": outreach.url,
    }  # fmt: skip


@pytest.fixture
def scene(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    clock = Clock(START)
    with ExitStack() as stack:
        outreach = stack.enter_context(outreaches.outreach())
        outreach.oauth = TokenServer(clock)
        for name, value in credentials(outreach).items():
            monkeypatch.setenv(name, value)
        yield Scene(stack.enter_context(tower_under(BOOK, database_url, tmp_path, clock)), outreach, clock)


def secrets(scene: Scene) -> list[str]:
    return [APP["client_secret"], FIRST, *scene.oauth.given, *(f"refresh-{n}-9876543210" for n in range(1, 9))]


def dump(scene: Scene) -> str:
    """Every row of every table, as text."""
    with scene.tower.database.read() as conn:
        tables = conn.exec_driver_sql("select relname from pg_class where relkind = 'r' and relnamespace = "
                                      "current_schema()::regnamespace").scalars().all()  # fmt: skip
        rows = [conn.exec_driver_sql(f'select t::text from "{one}" t').scalars().all() for one in tables]
        raw = conn.exec_driver_sql("select encode(sealed, 'escape') from system_token").scalars().all()
    return repr(rows) + repr(raw)


def test_a_token_that_ends_within_a_reading_is_renewed_once_and_the_reading_goes_on(scene: Scene) -> None:
    scene.accounts(12)
    scene.outreach.ends_after = 2
    done = scene.tower.sync("outreach")
    assert (done.fault, done.took.events) == ("", 12)
    assert [form["refresh_token"] for form in scene.oauth.said] == [FIRST, "refresh-1-9876543210"]
    assert all(form["grant_type"] == "refresh_token" and APP.items() <= form.items() for form in scene.oauth.said)
    assert scene.outreach.pages == 4, "no page is asked for twice that was answered"


def test_the_next_round_and_the_next_process_use_what_is_kept_and_renew_before_the_end(scene: Scene) -> None:
    scene.accounts(1)
    for step, asked in ((timedelta(0), 1), (HOUR, 1), (timedelta(minutes=57), 1), (timedelta(minutes=1), 2)):
        scene.clock.now += step
        assert scene.tower.sync("outreach").fault == ""
        assert len(scene.oauth.said) == asked, step
    assert scene.tokens().token() == list(scene.oauth.given)[-1] and len(scene.oauth.said) == 2


def test_of_two_that_renew_at_once_one_does_and_the_other_reads_what_it_got(scene: Scene) -> None:
    old = scene.tokens().token()
    scene.oauth.forget()
    start = threading.Barrier(6)

    def one(_: int) -> str:
        start.wait()
        return scene.tokens().after(old)

    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(one, range(6)))
    assert found == {"access-2-9876543210"} and len(scene.oauth.said) == 2


def test_who_waits_too_long_for_another_that_renews_fails_for_this_round_and_asks_nothing(
    scene: Scene, database_url: str
) -> None:
    impatient = open_database(f"{database_url}{'&' if '?' in database_url else '?'}options=-c%20lock_timeout%3D200ms")
    mine = scene.tokens()
    theirs = KeptTokens(impatient, scene.clock, "outreach", "outreach", mine._credentials)
    with scene.tower.database.begin() as conn:
        store.hold(conn, "outreach")
        with pytest.raises(SystemFault, match="other processes are renewing its token") as caught:
            theirs.token()
    impatient.close()
    assert not caught.value.refused and scene.oauth.said == []
    assert mine.token() == "access-1-9876543210"


def test_a_refused_refresh_is_an_alert_that_says_what_to_do_and_a_new_token_ends_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.accounts(1)
    assert scene.tower.sync("outreach").fault == ""
    scene.oauth.revoked = True
    scene.clock.now += 3 * HOUR
    done = scene.tower.sync("outreach")
    assert done.fault == f"no access token any more: POST {scene.outreach.url}/oauth/token: answered 400: invalid_grant"
    assert "WATCHTOWER_OUTREACH_REFRESH_TOKEN" in done.remedy and "Authorize the app anew" in done.remedy
    scene.tower.tick()
    assert alerts(scene) == [("system.outreach.failing", "sales", "open")]
    (standing,) = scene.tower.systems()
    assert "Authorize the app anew" in standing.failure
    scene.clock.now += timedelta(minutes=1)
    scene.oauth.revoked, scene.oauth.refresh = False, "refresh-anew-0123456789"
    monkeypatch.setenv("WATCHTOWER_OUTREACH_REFRESH_TOKEN", scene.oauth.refresh)
    assert scene.tower.sync("outreach").fault == ""
    scene.tower.tick()
    assert alerts(scene) == [("system.outreach.failing", "sales", "resolved")]


def alerts(scene: Scene) -> list[tuple[str, str, str]]:
    """Those that a refusal opens; a system that was not read for long is silent besides."""
    with scene.tower.database.read() as conn:
        rows = conn.exec_driver_sql("select rule, owner, status from alert where rule like '%%.failing'").all()
    return [(row[0], row[1], row[2]) for row in rows]


def test_what_passes_by_itself_at_the_endpoint_is_tried_again_and_is_no_refusal(scene: Scene) -> None:
    scene.accounts(1)
    scene.oauth.statuses = [429, 503]
    assert scene.tower.sync("outreach").fault == "" and len(scene.oauth.said) == 3
    scene.clock.now += 3 * HOUR
    scene.oauth.statuses, scene.oauth.retry_after = [429], "60"  # one token a minute, says Outreach
    assert "answered 429: slow_down" in scene.tower.sync("outreach").fault
    scene.tower.tick()
    assert alerts(scene) == []
    assert scene.tower.sync("outreach").fault == ""


def test_no_secret_stands_in_a_table_a_log_a_message_or_what_config_shows(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path
) -> None:
    scene.accounts(3)
    scene.outreach.ends_after = 1
    scene.tower.sync("outreach")
    scene.oauth.revoked = True
    scene.clock.now += 3 * HOUR
    said = repr(scene.tower.sync("outreach")) + dump(scene)
    said += "".join(capsys.readouterr())
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path))
    for command in (("config",), ("config", "--json"), ("systems", "--json"), ("doctor", "--json"),
                    ("sync", "outreach")):  # fmt: skip
        said += repr(inside(capsys, *command))
    assert "invalid_grant" in said and "access token renewed" in said
    assert [secret for secret in secrets(scene) if secret in said] == []


def test_without_the_master_key_the_owner_is_told_and_nothing_is_asked_for(scene: Scene) -> None:
    scene.accounts(1)
    scene.tower.sync("outreach")
    key = scene.tower.settings.data / "master.key"
    held = key.read_bytes()
    key.unlink()
    scene.clock.now += 3 * HOUR
    done = scene.tower.sync("outreach")
    assert "master.key" in done.fault and "Bring the file back" in done.remedy and len(scene.oauth.said) == 1
    key.write_bytes(held)
    assert scene.tower.sync("outreach").fault == ""


def test_killed_while_it_renews_and_after_it_the_next_process_goes_on(database_url: str, tmp_path: Path) -> None:
    """kill -9 while the endpoint is asked, then while the system is read under the new token."""
    (tmp_path / "rules.yaml").write_text(BOOK)
    now = system_clock()
    with outreaches.outreach() as outreach:
        oauth = outreach.oauth = TokenServer(system_clock)
        for number in range(1, 41):
            outreach.set("accounts", "account", number, now - HOUR + timedelta(seconds=number), {}, name=f"N{number}")
        env = {"DATABASE_URL": database_url, "WATCHTOWER_DATA": str(tmp_path / "data"), **credentials(outreach)}
        kept: list[Any] = []
        for turn in range(3):
            # Held before anything is decided: killed there, the old refresh token is still the one that counts.
            oauth.asked.clear()
            oauth.hold = threading.Event()
            before, process = oauth.refresh, begin("sync", "outreach", "--rulebook", tmp_path / "rules.yaml", **env)
            assert oauth.asked.wait(60), process.communicate()
            process.send_signal(signal.SIGKILL)
            process.communicate()
            refused, oauth.statuses = oauth.hold, [500]  # whoever was killed gets nothing for it
            oauth.hold = None
            refused.set()
            with psycopg.connect(database_url) as conn:
                kept.append(conn.execute("select sealed from system_token").fetchall())
            assert oauth.refresh == before and kept[-1] in ([], kept[0]), turn
        oauth.statuses = []
        done = wt("sync", "outreach", "--json", **env).json()["systems"][0]
        assert (done["failure"], done["events"]) == ("", 40)
        oauth.forget()
        asked = len(oauth.said)
        outreach.set("accounts", "account", 41, now, {}, name="late")
        assert wt("sync", "outreach", "--json", **env).json()["systems"][0]["failure"] == ""
        assert [form["refresh_token"] for form in oauth.said[asked:]] == ["refresh-1-9876543210"]


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_each_kind_is_asked_as_its_documentation_says(kind: str) -> None:
    server = TokenServer(lambda: START)
    paths: list[str] = []

    def answer(asked: Any) -> Any:
        paths.append(asked.path)
        return server.answer(asked)

    with serving(answer) as url:
        given = {"URL": url, "TOKEN_URL": url, "CLIENT_ID": "app-1", "CLIENT_SECRET": "s", "REFRESH_TOKEN": FIRST}
        assert renews(kind, given) and not renews(kind, {"URL": url, "TOKEN": "t", "CLIENT_ID": "app-1"})
        fresh = renew(kind, given | {"REDIRECT_URI": "https://a.example/cb"}, FIRST, "X")
        assert (fresh.access, fresh.refresh, fresh.seconds) == ("access-1-9876543210", server.refresh, 7200)
        if kind == "salesforce":
            server.silent = True
            own = renew(kind, given, "", "X")
            assert (own.access, own.refresh, own.seconds) == ("access-2-9876543210", "", None)
            assert server.said[1] == {"grant_type": "client_credentials", "client_id": "app-1", "client_secret": "s"}
    expected = {"grant_type": "refresh_token", "refresh_token": FIRST, "redirect_uri": "https://a.example/cb"}
    if kind == "gong":
        assert server.headers[0].startswith("Basic ") and server.said[0] == expected
    else:
        assert server.said[0] == expected | {"client_id": "app-1", "client_secret": "s"}
    assert set(paths) == {{
        "outreach": "/oauth/token", "hubspot": "/oauth/v3/token", "salesforce": "/services/oauth2/token",
        "gong": "/oauth2/generate-customer-token",
    }[kind]}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(SYSTEMS.keys() & ENDPOINTS.keys()))
def test_every_connector_that_renews_says_a_call_once_more_with_the_next_token(kind: str) -> None:
    headers: list[str] = []

    class Two:
        def token(self) -> str:
            return "old"

        def after(self, refused: str) -> str:
            assert refused == "old"
            return "new"

    def answer(asked: Any) -> Any:
        from fakes.serving import Answer

        headers.append(asked.headers["authorization"])
        return Answer({"message": "ended"}, 401)

    with serving(answer) as url:
        connector: Any = SYSTEMS[kind]({"URL": url}, Two())
        objects = {"outreach": "accounts", "hubspot": "companies", "salesforce": "Account", "gong": "Account"}
        with pytest.raises(SystemFault, match="answered 401") as caught:
            list(connector.pull(Asked(objects={objects[kind]: ("name",)}, activities=("call",)), {}))
        connector.close()
    assert headers == ["Bearer old", "Bearer new"] and caught.value.refused
