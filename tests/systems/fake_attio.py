"""Attio as far as a connector looks: records as lists of values that are active since a time, notes, PUT.

Shapes: Attio's OpenAPI document ("List records", "Get a record", "Update a record", "List notes" under
https://docs.attio.com/rest-api/endpoint-reference). tests/systems/test_sdks.py drives an SDK made of that document.

It does not say when a record last changed; a record that was merged away or deleted is not found.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from systems.vendor import Thing, Vendor

TOKEN = "attio-test"
TYPES = {
    "industry": "select", "stage": "status", "amount": "currency", "company": "record-reference",
    "email_addresses": "email-address", "close_date": "date", "proposed_at": "timestamp", "employees": "number",
    "optin": "checkbox",
}  # fmt: skip
ACTOR = {"type": "workspace-member", "id": "50cf242c-7fa3-4cad-87d0-75b1af71c57b"}
OPTION = {"id": {"workspace_id": "w", "object_id": "o", "attribute_id": "a"}, "is_archived": False}
STATUS = OPTION | {"celebration_enabled": False, "target_time_in_status": None}


def value(type_: str, said: Any) -> dict[str, Any]:
    """A value of an attribute of this type, as Attio shows it."""
    match type_:
        case "select":
            return {"option": OPTION | {"id": OPTION["id"] | {"option_id": said}, "title": said}}  # type: ignore[operator]
        case "status":
            return {"status": STATUS | {"id": STATUS["id"] | {"status_id": said}, "title": said}}  # type: ignore[operator]
        case "currency":
            return {"currency_value": float(said), "currency_code": "EUR"}
        case "record-reference":
            return {"target_object": "companies", "target_record_id": said}
        case "email-address":
            local, _, domain = str(said).partition("@")
            return {"original_email_address": said, "email_address": said, "email_domain": domain,
                    "email_root_domain": domain, "email_local_specifier": local}  # fmt: skip
    return {"value": said}


def iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "000000Z")


def shown(vendor: Vendor, kind: str, thing: Thing) -> dict[str, Any]:
    values: dict[str, Any] = {}
    said = thing.properties | {"company": next(iter(vendor.others(kind, thing.id, "companies")), None)}
    for name, said_now in said.items():
        if name.startswith("since:"):
            continue
        type_ = TYPES.get(name, "text")
        since = said.get(f"since:{name}") or iso(thing.created)
        one = {"active_from": since, "active_until": None, "created_by_actor": ACTOR, "attribute_type": type_}
        if said_now is not None:
            one |= value(type_, said_now)
        values[name] = [] if said_now is None else [one]
    return {
        "id": {"workspace_id": "w", "object_id": kind, "record_id": thing.id}, "created_at": iso(thing.created),
        "web_url": f"https://app.attio.com/w/{kind}/record/{thing.id}", "values": values,
    }  # fmt: skip


def app(vendor: Vendor) -> Starlette:
    def guarded(answer: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse({"status_code": 401, "code": "unauthorized"}, 401)
            if (upset := vendor.upset(request)) is not None:
                return upset
            body = await request.json() if request.method in ("POST", "PUT") else {}
            with vendor.lock:
                found: Response = answer(request, body)
                return found

        return endpoint

    def query(request: Request, body: Any) -> Response:
        kind = request.path_params["kind"]
        found = sorted(vendor.alive(kind), key=lambda t: (t.created, t.id))
        page = found[int(body.get("offset", 0)) :][: int(body.get("limit", 500))]
        return JSONResponse({"data": [shown(vendor, kind, thing) for thing in page]})

    def notes(request: Request, _: Any) -> Response:
        offset, limit = int(request.query_params.get("offset", 0)), int(request.query_params.get("limit", 10))
        if limit > 50:
            return JSONResponse({"status_code": 400, "code": "validation_type"}, 400)
        data = [{
            "id": {"workspace_id": "w", "note_id": thing.id}, "parent_object": "deals",
            "parent_record_id": vendor.others("notes", thing.id, "deals")[0], "title": "Call", "meeting_id": None,
            "content_plaintext": thing.properties["text"], "content_markdown": thing.properties["text"], "tags": [],
            "created_by_actor": ACTOR, "created_at": iso(thing.created),
        } for thing in vendor.alive("notes")]  # fmt: skip
        return JSONResponse({"data": data[offset:][:limit]})

    def one(request: Request, body: Any) -> Response:
        kind, id_ = request.path_params["kind"], request.path_params["id"]
        thing = vendor.of(kind).get(id_)
        if thing is None or thing.ended is not None:
            return JSONResponse({"status_code": 404, "code": "not_found"}, 404)
        if request.method == "PUT":
            given = body["data"]["values"]
            if not all(isinstance(values, list) for values in given.values()):
                return JSONResponse({"status_code": 400, "code": "validation_type"}, 400)
            put(vendor, kind, id_, {name: values[0] if values else None for name, values in given.items()})
        return JSONResponse({"data": shown(vendor, kind, thing)})

    return Starlette(routes=[
        Route("/v2/objects/{kind}/records/query", guarded(query), methods=["POST"]),
        Route("/v2/objects/{kind}/records/{id}", guarded(one), methods=["GET", "PUT"]),
        Route("/v2/notes", guarded(notes)),
    ])  # fmt: skip


def put(vendor: Vendor, kind: str, id_: str, values: dict[str, Any]) -> None:
    """Set values, each active from now where it is another one."""
    vendor.update(kind, id_, **values)
    now = iso(vendor.now)
    old = vendor.of(kind)[id_].properties
    old |= {f"since:{name}": now for name in values}
