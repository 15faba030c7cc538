"""Salesforce as far as a connector and simple-salesforce look: query, queryAll, sObject rows, client credentials.

A query's answer comes in parts (nextRecordsUrl), as Salesforce parts long ones; deleted and merged records stand in
queryAll alone.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from systems.vendor import Thing, Vendor

TOKEN = "00Dtest!first"
CLIENT = ("the-client", "the-secret")
PREFIXES = {"Account": "001", "Contact": "003", "Opportunity": "006", "Task": "00T"}
PART = 3
"""Records in one part of an answer."""


def iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


class Org:
    """A vendor's database as an org. `tokens`: those that are valid."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor, self.tokens = vendor, {TOKEN}
        self.left: dict[str, list[dict[str, Any]]] = {}

    def row(self, kind: str, thing: Thing, names: list[str]) -> dict[str, Any]:
        known: dict[str, Any] = thing.properties | {
            "Id": thing.id, "SystemModstamp": iso(thing.updated), "CreatedDate": iso(thing.created),
            "IsDeleted": thing.ended is not None, "MasterRecordId": thing.into,
        }  # fmt: skip
        accounts = self.vendor.others(kind, thing.id, "Account")
        known["AccountId"] = accounts[0] if accounts else None
        deals = self.vendor.others(kind, thing.id, "Opportunity") if kind == "Task" else []
        known["WhatId"], known["What"] = (deals[0], {"Type": "Opportunity"}) if deals else (None, None)
        known |= {"WhoId": None, "Who": None}
        row: dict[str, Any] = {"attributes": {"type": kind, "url": f"/services/data/v60.0/sobjects/{kind}/{thing.id}"}}
        for name in names:
            top = name.split(".")[0]
            row[top] = known.get(top)
        return row

    def query(self, soql: str, *, all_: bool) -> list[dict[str, Any]]:
        found = re.fullmatch(
            r"SELECT (?P<names>.+?) FROM (?P<kind>\w+)(?: WHERE (?P<where>.+?))?"
            r"(?: ORDER BY SystemModstamp, Id)?(?: LIMIT (?P<limit>\d+))?", soql,
        )  # fmt: skip
        assert found, soql
        kind, names = found["kind"], [name.strip() for name in found["names"].split(",")]
        assert "MasterRecordId" not in names or kind != "Opportunity", "No such column 'MasterRecordId'"
        things = [t for t in self.vendor.of(kind).values() if (all_ or t.ended is None) and _holds(t, found["where"])]
        things.sort(key=lambda t: (t.updated, t.id))
        return [self.row(kind, thing, names) for thing in things[: int(found["limit"] or 10_000)]]


def _holds(thing: Thing, where: str | None) -> bool:
    if where is None:
        return True
    if named := re.fullmatch(r"Id IN \((.+)\)", where):
        return thing.id in re.findall(r"'(\w+)'", named[1])
    at = iso(thing.updated).replace("+0000", "Z")
    if since := re.fullmatch(r"SystemModstamp >= (\S+)", where):
        return at >= since[1]
    after = re.fullmatch(r"SystemModstamp > (\S+) OR \(SystemModstamp = (\S+) AND Id > '(\w+)'\)", where)
    assert after, where
    return at > after[1] or (at == after[2] and thing.id > after[3])


def app(org: Org) -> Starlette:
    vendor = org.vendor

    def guarded(answer: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in org.tokens:
                return JSONResponse([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
            if (upset := vendor.upset(request)) is not None:
                return upset
            body = await request.json() if request.method in ("POST", "PATCH") else {}
            with vendor.lock:
                found: Response = answer(request, body)
                return found

        return endpoint

    def part(rows: list[dict[str, Any]]) -> Response:
        now, rest = rows[:PART], rows[PART:]
        said: dict[str, Any] = {"totalSize": len(rows), "done": not rest, "records": vendor.shown(now)}
        if rest:
            key = f"01g{len(org.left):015d}-2000"
            org.left[key] = rest
            said["nextRecordsUrl"] = f"/services/data/v60.0/query/{key}"
        return JSONResponse(said)

    def query(request: Request, _: Any) -> Response:
        try:
            return part(org.query(request.query_params["q"], all_="queryAll" in request.url.path))
        except AssertionError as error:
            return JSONResponse([{"message": str(error), "errorCode": "MALFORMED_QUERY"}], 400)

    def more(request: Request, _: Any) -> Response:
        return part(org.left[request.path_params["key"]])

    def one(request: Request, body: Any) -> Response:
        kind, id_ = request.path_params["kind"], request.path_params["id"]
        thing = vendor.of(kind).get(id_)
        if thing is None or thing.ended is not None:
            return JSONResponse([{"errorCode": "NOT_FOUND", "message": "does not exist"}], 404)
        if request.method == "GET":
            return JSONResponse(org.row(kind, thing, ["Id", "SystemModstamp", *thing.properties]))
        if request.method == "DELETE":
            vendor.end(kind, id_)
        else:
            vendor.update(kind, id_, **body)
        return Response(status_code=204)

    def create(request: Request, body: Any) -> Response:
        kind = request.path_params["kind"]
        id_ = f"{PREFIXES[kind]}{900 + len(vendor.of(kind)):015d}"
        vendor.create(kind, id_, **body)
        return JSONResponse({"id": id_, "success": True, "errors": []}, 201)

    async def token(request: Request) -> Response:
        asked = dict(part.split("=") for part in (await request.body()).decode().split("&"))
        if (asked.get("client_id"), asked.get("client_secret")) != CLIENT:
            return JSONResponse({"error": "invalid_client"}, 400)
        org.tokens = {f"00Dtest!{len(vendor.calls)}"}
        return JSONResponse({"access_token": next(iter(org.tokens)), "token_type": "Bearer"})

    base = "/services/data/{version}"
    return Starlette(routes=[
        Route("/services/oauth2/token", token, methods=["POST"]),
        Route(f"{base}/query", guarded(query)),
        Route(f"{base}/query/", guarded(query)),
        Route(f"{base}/queryAll", guarded(query)),
        Route(f"{base}/queryAll/", guarded(query)),
        Route(f"{base}/query/{{key}}", guarded(more)),
        Route(f"{base}/sobjects/{{kind}}/", guarded(create), methods=["POST"]),
        Route(f"{base}/sobjects/{{kind}}/{{id}}", guarded(one), methods=["GET", "PATCH", "DELETE"]),
    ])  # fmt: skip
