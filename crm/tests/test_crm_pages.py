"""Lists come in pages, and each page costs as little as the first, however many rows there are."""

import re

import pytest
from application import customers, visits
from crm_browser import Browser
from crm_cluster import Cluster

MANY = 60_000


def add_customers(cluster: Cluster, count: int) -> None:
    cluster.execute(
        "INSERT INTO customers (name, company, for_checks) SELECT 'Customer ' ||"
        f" lpad(number::text, 6, '0'), 'Acme', false FROM generate_series(1, {count}) AS number",
        "crm",
    )


def add_visits(cluster: Cluster, path: str, count: int) -> None:
    customer = path.rpartition("/")[2]
    cluster.execute(
        "INSERT INTO visits (customer_id, visited_on, who, note)"
        f" SELECT {customer}, date '2000-01-01' + number / 7, 'Eve', 'Nr. ' || number"
        f" FROM generate_series(1, {count}) AS number",
        "crm",
    )


def walked(browser: Browser, path: str, key: str) -> list[dict]:
    """Return what all pages of a list list."""
    found = []
    while path:
        answer = browser.client.get(path)
        assert answer.status_code == 200
        found += answer.json[key]
        path = answer.json["next"]
    return found


def test_many_visits_of_one_customer(browser: Browser, cluster: Cluster) -> None:
    path = browser.add("Ada")
    add_visits(cluster, path, MANY)
    page = browser.get(path)
    assert len(page.data) < 50_000
    assert page.text.count("<strong>") == visits.PAGE_SIZE
    assert f'Visits <span class="count">{visits.COUNT_MAXIMUM}+<' in page.text
    api = browser.client.get(f"/api{path}/visits")
    assert len(api.data) < 50_000 and len(api.json["visits"]) == 100
    assert browser.client.get(api.json["next"]).json["visits"][0]["note"] == f"Nr. {MANY - 100}"
    assert browser.get("/customers").status_code == 200


def test_pages_of_visits(browser: Browser, cluster: Cluster) -> None:
    path = browser.add("Ada")
    add_visits(cluster, path, 45)
    seen, link, pages = [], path, 0
    while link:
        text = browser.get(link).text
        seen += re.findall(r"Nr\. (\d+)<", text)
        assert ("Latest</a>" in text) == (link != path)
        older = re.search(r'rel="next"\s+href="([^"]+)"', text)
        link, pages = older and older[1], pages + 1
    assert (seen, pages) == ([str(number) for number in range(45, 0, -1)], 3)
    assert "No older visits" in browser.get(path + "?before=1999-01-01.1").text
    assert "No visits yet" in browser.get(browser.add("Eve")).text


def test_the_api_lists_all_visits(browser: Browser, cluster: Cluster) -> None:
    path = browser.add("Ada")
    add_visits(cluster, path, 200)
    notes = [visit["note"] for visit in walked(browser, f"/api{path}/visits", "visits")]
    assert notes == [f"Nr. {number}" for number in range(200, 0, -1)]


def test_the_api_lists_all_customers(browser: Browser, cluster: Cluster) -> None:
    add_customers(cluster, 3 * customers.PAGE_SIZE)
    browser.add("Other")
    every = walked(browser, "/api/customers?after=0", "customers")
    assert len({row["id"] for row in every}) == 3 * customers.PAGE_SIZE + 1
    found = walked(browser, "/api/customers?q=Acme&after=0", "customers")
    assert {row["company"] for row in found} == {"Acme"}
    assert len(found) == 3 * customers.PAGE_SIZE


def test_counting_and_pages_by_number_end(
    browser: Browser, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers, "COUNT_MAXIMUM", 40)
    add_customers(cluster, 40)
    assert browser.client.get("/api/customers").json["more"] is False
    assert 'count">40<' in browser.get("/customers").text
    add_customers(cluster, 1)
    for query in ("", "&q=acme"):
        last = browser.client.get(f"/api/customers?page=99{query}").json
        assert (last["page"], last["pages"], last["total"], last["more"]) == (2, 2, 40, True)
        text = browser.get(f"/customers?page=2{query}").text
        assert 'count">40+<' in text and "Search for the others" in text
    assert "Search for the others" not in browser.get("/customers").text


def test_a_page_far_away_is_shown_in_time(browser: Browser, cluster: Cluster) -> None:
    add_customers(cluster, MANY)
    for path in ("/customers?page=999999", "/customers?page=999999&q=acme", "/customers?q=nobody"):
        assert browser.get(path).status_code == 200
    page = browser.client.get("/api/customers?page=500").json
    assert page["customers"][-1]["name"] == "Customer 010000"


def test_nothing_is_found_across_two_fields(browser: Browser) -> None:
    browser.add("Ada", email="b@c.example", company="Acme")
    for query, total in (("a\nb", 0), ("ADA", 1), ("acme", 1), ("example acme", 0), ("a b@c", 0)):
        answer = browser.client.get("/api/customers", query_string={"q": query})
        assert answer.json["total"] == total


@pytest.mark.parametrize("place", ["", "x", "2024-02-30.1", "2024-01-01", "2024-01-01." + "9" * 19])
def test_places_that_are_none(browser: Browser, place: str) -> None:
    path = browser.add("Ada")
    for page in (path, f"/api{path}/visits"):
        assert browser.client.get(page, query_string={"before": place}).status_code == 400
    answer = browser.client.get("/api/customers", query_string={"after": place})
    assert answer.status_code == 400 and answer.json["error"]


def test_what_is_read_of_many_customers_for_one(browser: Browser, cluster: Cluster) -> None:
    path = browser.add("Ada")
    add_customers(cluster, 2_000)
    add_visits(cluster, path, 2_000)
    cluster.execute("ANALYZE customers; ANALYZE visits", "crm")
    number = path.rpartition("/")[2]
    with browser.client.application.extensions["crm_database"].transaction() as cursor:
        cursor.execute(
            "EXPLAIN SELECT count(*) FROM (SELECT FROM visits WHERE customer_id = %s LIMIT 10001)"
            " AS counted",
            (number,),
        )
        plan = "\n".join(row["QUERY PLAN"] for row in cursor.fetchall())
    assert "Seq Scan on customers" not in plan, plan
