"""The vendors' own SDKs against our fakes: what the fakes speak is the vendors' protocol, not our idea of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from systems import fake_hubspot, fake_salesforce
from systems.scene import START
from systems.vendor import Vendor, served


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
