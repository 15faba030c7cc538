"""The vendors' own SDKs against our fakes: what the fakes speak is the vendors' protocol, not our idea of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from systems import fake_attio, fake_hubspot, fake_salesforce
from systems.scene import START
from systems.vendor import Vendor, served

from watchtower.connectors.attio import connect
from watchtower.contract.system import Asked, Said, Seen, Write


def test_hubspots_own_sdk_reads_searches_writes_and_archives() -> None:
    hubspot = pytest.importorskip("hubspot", reason="hubspot-api-client (the dev extra) is not installed")
    from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
    from hubspot.crm.companies import (
        BatchReadInputSimplePublicObjectId,
        PublicObjectSearchRequest,
        SimplePublicObjectInput,
        SimplePublicObjectInputForCreate,
    )
    from hubspot.crm.contacts import ApiException

    vendor = Vendor(START)
    with served(fake_hubspot.app(vendor)) as url:
        client = hubspot.HubSpot(access_token=fake_hubspot.TOKEN, host=url)
        crm = client.crm
        made = crm.companies.basic_api.create(
            SimplePublicObjectInputForCreate(properties={"name": "Acme", "industry": "RETAIL"}, associations=[])
        )
        for number in range(120):
            vendor.create("companies", str(5000 + number), name=f"C{number}")
        assert len(crm.companies.get_all(properties=["name"])) == 121
        crm.companies.basic_api.update(made.id, SimplePublicObjectInput(properties={"industry": "COMPUTER_SOFTWARE"}))
        one = crm.companies.basic_api.get_by_id(made.id, properties=["industry"])
        assert one.properties["industry"] == "COMPUTER_SOFTWARE" and one.updated_at > START
        since = str(fake_hubspot.ms(vendor.of("companies")[made.id].updated))
        condition = {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": since}
        sort: Any = {"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}
        found = crm.companies.search_api.do_search(PublicObjectSearchRequest(
            filter_groups=[{"filters": [condition]}], properties=["name"], limit=10, after="0", sorts=[sort]
        ))  # fmt: skip
        assert [result.id for result in found.results] == [made.id] and found.total == 1
        read = crm.companies.batch_api.read(BatchReadInputSimplePublicObjectId(
            inputs=[{"id": made.id}, {"id": "404"}], properties=["name"], properties_with_history=[]
        ))  # fmt: skip
        assert [result.id for result in read.results] == [made.id]
        vendor.create("contacts", "1", email="a@example.com")
        vendor.link("contacts", "1", "companies", made.id)
        linked = crm.associations.v4.batch_api.get_page(
            "contacts", "companies", BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": "1"}])
        )
        assert [str(to.to_object_id) for to in linked.results[0].to] == [made.id]
        crm.companies.basic_api.archive(made.id)
        archived = crm.companies.basic_api.get_page(limit=100, archived=True)
        assert [result.id for result in archived.results] == [made.id] and archived.results[0].archived_at
        with pytest.raises(ApiException) as caught:
            hubspot.HubSpot(access_token="wrong", host=url).crm.contacts.basic_api.get_page()
        assert caught.value.status == 401


def test_simple_salesforce_queries_in_parts_and_writes() -> None:
    simple = pytest.importorskip("simple_salesforce", reason="simple-salesforce (the dev extra) is not installed")
    import requests
    from requests.adapters import HTTPAdapter

    class Plain(HTTPAdapter):
        """The SDK speaks https alone; the fake has no certificate."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            request.url = request.url.replace("https://", "http://", 1)
            return super().send(request, *args, **kwargs)

    vendor = Vendor(START)
    with served(fake_salesforce.app(fake_salesforce.Org(vendor))) as url:
        session = requests.Session()
        session.mount("https://", Plain())
        address = url.replace("http://", "https://")
        org = simple.Salesforce(session_id=fake_salesforce.TOKEN, instance_url=address, session=session)
        made = [org.Account.create({"Name": f"C{number}"})["id"] for number in range(7)]
        org.Account.update(made[0], {"Industry": "Retail"})
        assert org.Account.get(made[0])["Industry"] == "Retail"
        soql = "SELECT Id, Name, SystemModstamp, IsDeleted FROM Account ORDER BY SystemModstamp, Id LIMIT 2000"
        assert [row["Id"] for row in org.query_all(soql)["records"]] == [*made[1:], made[0]]
        org.Account.delete(made[3])
        vendor.tick(timedelta(seconds=1))
        assert len(org.query_all(soql)["records"]) == 6
        deleted = [row for row in org.query_all(soql, include_deleted=True)["records"] if row["IsDeleted"]]
        assert [row["Id"] for row in deleted] == [made[3]]
        with pytest.raises(simple.exceptions.SalesforceMalformedRequest, match="MasterRecordId"):
            org.query("SELECT Id, MasterRecordId FROM Opportunity")
        with pytest.raises(simple.exceptions.SalesforceExpiredSession):
            simple.Salesforce(session_id="old", instance_url=address, session=session).query(soql)


def test_an_sdk_made_of_attios_openapi_document_reads_what_our_fake_says_and_its_request_is_ours() -> None:
    attio = pytest.importorskip("attio", reason="attio (the dev extra) is not installed")
    vendor = Vendor(START)
    company, deal, note = "bf071e1f-6035", "ef022e1f-6035", "ff3f3bd4-40f4"
    vendor.create("companies", company, name="Acme", industry="Retail", employees=5)
    vendor.create("deals", deal, name="Acme 2026", stage="Won", amount="12000", close_date="2026-04-01", optin=True,
                  email_addresses="a@example.com", proposed_at="2026-03-01T09:00:00.000000000Z")  # fmt: skip
    vendor.create("notes", note, text="They want it.")
    vendor.link("notes", note, "deals", deal)
    vendor.link("deals", deal, "companies", company)
    with served(fake_attio.app(vendor)) as url:
        client = attio.SDK(oauth2=fake_attio.TOKEN, server_url=url)
        sort = {"attribute": "created_at", "direction": "asc"}
        listed = client.records.post_v2_objects_object_records_query(object="deals", limit=500, offset=0, sorts=[sort])
        theirs = listed.data[0].values
        assert theirs["amount"][0].currency_value == 12000 and theirs["company"][0].target_record_id == company
        assert client.notes.get_v2_notes(limit=50, offset=0).data[0].content_plaintext == "They want it."
        connector = connect({"TOKEN": fake_attio.TOKEN, "URL": url})
        asked = Asked(objects={"deals": ("stage", "amount", "company")}, activities=("note",))
        changes = [change for page in connector.pull(asked, {}) for change in page.changes]
        [seen] = [change for change in changes if isinstance(change, Seen)]
        assert seen.properties == {"stage": "Won", "amount": 12000, "company": company}
        assert [change.text for change in changes if isinstance(change, Said)] == ["They want it."]

        # The SDK refuses to send a value that is no list, as the schema does, and so does the fake.
        with pytest.raises(ValueError, match="valid list"):
            write = {"values": {"industry": "Software"}}
            client.records.put_v2_objects_object_records_record_id_(object="companies", record_id=company, data=write)
        connector.push(Write(key="1", object="companies", id=company, properties={"industry": "Software"}))
        one = client.records.get_v2_objects_object_records_record_id_(object="companies", record_id=company).data
        assert one.values["industry"][0].option.title == "Software"
        write = {"values": {"industry": ["Retail"], "employees": []}}
        client.records.put_v2_objects_object_records_record_id_(object="companies", record_id=company, data=write)
        assert vendor.of("companies")[company].properties["industry"] == "Retail"
        assert connector.present("companies", [company, "404"]) == {company}
        with pytest.raises(attio.errors.SDKError):
            attio.SDK(oauth2="wrong", server_url=url, retry_config=None).notes.get_v2_notes()
        connector.close()
