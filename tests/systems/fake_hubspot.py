"""HubSpot as far as a connector and HubSpot's own SDK look: CRM objects v3, search, associations v4.

Shapes and limits as developers.hubspot.com has them: pages of 100 at most (search: 200), 10,000 results of a search,
`paging.next.after`, archived objects only where asked for, 207 where some of a batch are missing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from systems.vendor import Thing, Vendor

TOKEN = "pat-eu1-test"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ms(at: datetime) -> int:
    return round((at - EPOCH).total_seconds() * 1000)


def iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(thing: Thing, kind: str, properties: list[str]) -> dict[str, Any]:
    name = "lastmodifieddate" if kind == "contacts" else "hs_lastmodifieddate"
    known = thing.properties | {
        name: iso(thing.updated), "hs_object_id": thing.id, "createdate": iso(thing.created),
        "hs_merged_object_ids": ";".join(thing.merged) or None,
    }  # fmt: skip
    said = {key: known.get(key) for key in {*properties, "hs_object_id", "createdate", name}}
    found = {
        "id": thing.id, "properties": said, "createdAt": iso(thing.created), "updatedAt": iso(thing.updated),
        "archived": thing.ended is not None,
    }  # fmt: skip
    return found | ({"archivedAt": iso(thing.ended)} if thing.ended else {})


def app(vendor: Vendor) -> Starlette:
    def guarded(answer: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse({"status": "error", "category": "INVALID_AUTHENTICATION"}, 401)
            if (upset := vendor.upset(request)) is not None:
                return upset
            body = await request.json() if request.method in ("POST", "PATCH") else {}
            with vendor.lock:
                found: Response = answer(request, body)
                return found

        return endpoint

    def listed(request: Request, _: Any) -> Response:
        kind, asked = request.path_params["kind"], request.query_params
        limit = int(asked.get("limit", 10))
        if limit > 100:
            return JSONResponse({"message": "limit must be at most 100"}, 400)
        archived = asked.get("archived", "false").lower() == "true"
        after = int(asked.get("after") or 0)
        # Merged-away objects live on in their winner: they are in no list.
        found = [t for t in vendor.of(kind).values() if (t.ended is not None) == archived and t.into is None]
        found = sorted((t for t in found if int(t.id) > after), key=lambda t: int(t.id))
        page = found[:limit]
        properties = [name for part in asked.getlist("properties") for name in part.split(",") if name]
        said: dict[str, Any] = {"results": vendor.shown([shown(t, kind, properties) for t in page])}
        if len(found) > limit:
            said["paging"] = {"next": {"after": page[-1].id, "link": "..."}}
        return JSONResponse(said)

    def search(request: Request, body: Any) -> Response:
        kind, limit, after = request.path_params["kind"], int(body.get("limit", 10)), int(body.get("after") or 0)
        if limit > 200 or after + limit > 10_000 or len(body.get("sorts", ())) > 1:
            return JSONResponse({"message": "beyond the limits of a search"}, 400)
        found = [t for t in vendor.heard(vendor.alive(kind)) if _matches(t, body.get("filterGroups", ()))]
        for sort in body.get("sorts", ()):
            backwards = sort["direction"] == "DESCENDING"
            found.sort(key=lambda t: _key(t, sort["propertyName"]), reverse=backwards)
        page = found[after : after + limit]
        said: dict[str, Any] = {
            "total": len(found), "results": vendor.shown([shown(t, kind, body.get("properties", [])) for t in page])
        }  # fmt: skip
        if len(found) > after + limit:
            said["paging"] = {"next": {"after": str(after + limit)}}
        return JSONResponse(said)

    def batch_read(request: Request, body: Any) -> Response:
        kind, properties = request.path_params["kind"], body.get("properties", [])
        if len(body["inputs"]) > 100:
            return JSONResponse({"message": "at most 100"}, 400)
        found, lost = [], []
        for one in body["inputs"]:
            thing = vendor.of(kind).get(one["id"])
            while thing is not None and thing.into is not None:
                thing = vendor.of(kind)[thing.into]
            (found if thing is not None and thing.ended is None else lost).append(thing)
        said: dict[str, Any] = {"status": "COMPLETE", "results": [shown(t, kind, properties) for t in found if t]}
        if lost:
            said |= {"numErrors": 1, "errors": [{"category": "OBJECT_NOT_FOUND"}]}
        return JSONResponse(said, 207 if lost else 200)

    def associations(request: Request, body: Any) -> Response:
        kind, other = request.path_params["kind"], request.path_params["other"]
        results = []
        for one in body["inputs"]:
            if others := vendor.others(kind, one["id"], other):
                to = [{"toObjectId": int(id_), "associationTypes": [
                    {"category": "HUBSPOT_DEFINED", "typeId": 5, "label": "Primary" if n == 0 else None}
                ]} for n, id_ in enumerate(others)]  # fmt: skip
                results.append({"from": {"id": one["id"]}, "to": to[::-1]})
        return JSONResponse({"status": "COMPLETE", "results": results}, 200 if results else 207)

    def one(request: Request, body: Any) -> Response:
        kind, thing = request.path_params["kind"], vendor.of(request.path_params["kind"]).get(request.path_params["id"])
        while thing is not None and thing.into is not None:
            thing = vendor.of(kind)[thing.into]
        if thing is None or thing.ended is not None:
            return JSONResponse({"status": "error", "message": "resource not found"}, 404)
        if request.method == "PATCH":
            vendor.update(kind, thing.id, **body["properties"])
        elif request.method == "DELETE":
            vendor.end(kind, thing.id)
            return Response(status_code=204)
        asked = [name for part in request.query_params.getlist("properties") for name in part.split(",")]
        return JSONResponse(shown(thing, kind, [*asked, *body.get("properties", ())]))

    def create(request: Request, body: Any) -> Response:
        kind = request.path_params["kind"]
        id_ = str(1000 + sum(len(found) for found in vendor.things.values()))
        thing = vendor.create(kind, id_, **body["properties"])
        for link in body.get("associations") or ():
            vendor.link(kind, id_, "companies", str(link["to"]["id"]))
        return JSONResponse(shown(thing, kind, list(body["properties"])), 201)

    base = "/crm/v3/objects/{kind}"
    return Starlette(routes=[
        Route(base, guarded(listed)),
        Route(base, guarded(create), methods=["POST"]),
        Route(f"{base}/search", guarded(search), methods=["POST"]),
        Route(f"{base}/batch/read", guarded(batch_read), methods=["POST"]),
        Route(f"{base}/{{id}}", guarded(one), methods=["GET", "PATCH", "DELETE"]),
        Route("/crm/v4/associations/{kind}/{other}/batch/read", guarded(associations), methods=["POST"]),
    ])  # fmt: skip


def _key(thing: Thing, name: str) -> int:
    return int(thing.id) if name == "hs_object_id" else ms(thing.updated)


def _matches(thing: Thing, groups: Any) -> bool:
    def one(condition: Any) -> bool:
        value, wanted = _key(thing, condition["propertyName"]), int(condition["value"])
        return {"GTE": value >= wanted, "EQ": value == wanted, "GT": value > wanted}[condition["operator"]]

    return not groups or any(all(one(condition) for condition in group["filters"]) for group in groups)
