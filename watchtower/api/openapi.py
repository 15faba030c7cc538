"""/openapi.json: OpenAPI 3.1, with who may ask what, and what every request may be answered with."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from watchtower.api.auth import COOKIE, roles_for

SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key, made by `watchtower keys add`. Asked for once any key was made.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A browser that signed in at /login. What it changes must say that it comes from our own pages.",
    },
}
TAGS = [
    {"name": "events", "description": "What happened: CloudEvents in, a verdict for each."},
    {"name": "alerts", "description": "What stands in the queues, and what people do about it."},
    {"name": "silences", "description": "Of what nobody is told for a while."},
    {"name": "subscriptions", "description": "REST hooks: have alerts sent to an address."},
    {"name": "handoffs", "description": "Gates: a record goes through, or is refused with what is missing."},
    {"name": "records", "description": "What is known about a record, and who says so."},
    {"name": "proposals", "description": "What workers propose, for people to accept or reject."},
    {"name": "rulebook", "description": "The rules in force."},
    {"name": "live", "description": "Changes as they happen."},
    {"name": "service", "description": "For those who keep it running."},
]
FAULTS: dict[str, tuple[str, str]] = {
    "400": ("It cannot be read, or cannot be", "record: 'L-17' is not of the form object/id, such as lead/L-17"),
    "401": ("A key is asked for", "the key or session opens nothing: unknown, revoked or over"),
    "403": ("Not for this role, or sent from another site", "POST /alerts/a1/resolve: not for the role viewer"),
    "404": ("There is no such thing", "alert 'a1' does not exist"),
    "405": ("Not with this method", "Method Not Allowed"),
    "409": ("Another body under the same source and id", "event e1 of crm arrived before with another body"),
    "412": ("It has changed since it was read", "alert a1: is resolved now: anna resolved it at 09:12:44 UTC"),
    "413": ("Too large", "the body has more than 1000000 bytes; send fewer events at a time"),
    "415": ("Not in this form", "Content-Type: 'text/plain' is not accepted"),
    "421": ("Host is not a name of this service", "Host: 'evil.example' is not a name of this service"),
    "422": ("A part of it is not what it must be", "query.limit: Input should be less than or equal to 200"),
    "429": ("Too many requests", "more than 6000 requests a minute from this key"),
    "500": ("Something nobody foresaw", "something went wrong here that nobody foresaw"),
    "503": ("The database cannot be reached, or has no room", "localhost:5432: the database cannot be reached"),
}
"""What each fault means, and an example of what it says."""
ALWAYS = ("403", "405", "421", "422", "429", "500", "503")
_METHODS = ("get", "post", "put", "patch", "delete")


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of `app`, made once."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", summary=app.summary,
        description=app.description, routes=app.routes, tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    parts = schema.setdefault("components", {})
    parts["securitySchemes"] = SCHEMES
    parts["responses"] = {f"Fault{status}": _fault(status) for status in FAULTS}
    # The faults of all requests have one shape; FastAPI's own for a request that is not valid is not used.
    for unused in ("HTTPValidationError", "ValidationError"):
        parts.get("schemas", {}).pop(unused, None)
    for path, item in schema["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(path, method, item[method])
    app.openapi_schema = schema
    return schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    roles = roles_for(method.upper(), path)
    operation["security"] = [] if roles is None else [{"key": []}, {"session": []}]
    answers = operation["responses"]
    wanted = {status for status in answers if status in FAULTS} | set(ALWAYS)
    wanted |= set() if roles is None else {"401"}
    wanted |= {"413"} if method == "post" else set()
    for status in wanted:
        answers[status] = {"$ref": f"#/components/responses/Fault{status}"}
    operation["responses"] = dict(sorted(answers.items()))
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _of_a_url(parameter["schema"])
    if roles is not None:
        operation["x-roles"] = sorted(roles)
        said = operation.get("description", "")
        operation["description"] = f"{said}\n\nRoles: {', '.join(sorted(roles))}.".strip()


def _of_a_url(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter may be left out; that it be null cannot be said in a URL or a header."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **kinds[0]}


def _fault(status: str) -> dict[str, Any]:
    title, detail = FAULTS[status]
    example = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    answer: dict[str, Any] = {
        "description": title,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        },
    }
    if status == "429":
        answer["headers"] = {
            "Retry-After": {"description": "Seconds until a request may come.", "schema": {"type": "integer"}}
        }
    if status == "401":
        answer["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "example": 'Bearer realm="watchtower"'}}
    return answer
