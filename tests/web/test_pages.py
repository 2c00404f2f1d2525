import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from receiver import metrics
from receiver.actions import VERBS
from receiver.playbook import read
from receiver.run import Outcome, Reason, StepStatus
from receiver.visible import visible
from tests.bed.receiver import alert, message
from tests.web.browser import Browser, hidden
from tests.web.conftest import KEYS, Web
from tests.web.seed import PLAYBOOK, Seed

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PAGES = ("/", "/runs", "/runs/1", "/approvals", "/audit", "/playbooks")

HOSTILE = "<script>alert(1)</script>\x1b[2J\r\nSet-Cookie: a=b\u202egnp.exe\u2066\u200b'\"&{{7*7}}"

PLAYBOOKS = """playbooks:
- name: restart-slow-service
  description: Restart a service whose latency left its band.
  mode: enforce
  matchers: ['alertname="LatencyAnomaly"']
  condition: z_score > 3
  target: {docker: {compose: {project: shop, service: "{{ labels.service }}"}}}
  steps: [restart: ]
  verify: {resolved_within: 10m}
- name: look-only
  enabled: false
  matchers: ['severity="low"']
  steps: [notify: {receiver: team-shop, message: "look"}]
"""


def asked_with(session: str, web: Web) -> int:
    return web.client.get("/api/v1/runs", headers={"Cookie": f"amend_session={session}"}).status_code


@pytest.fixture
def seed(web: Web) -> Seed:
    web.now = NOON + 10 * MINUTE
    metrics.RELOAD_SUCCESSFUL.set(1)
    return Seed(web)


@pytest.fixture
def browser(web: Web, seed: Seed) -> Iterator[Browser]:
    browser = Browser(web)
    with browser.client:
        browser.sign_in()
        yield browser


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page)).strip()


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_asked_to_sign_in_and_comes_back(web: Web, seed: Seed, path: str) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    with Browser(web).client as client:
        answer = client.get(path)
        assert (answer.status_code, answer.url.path) == (200, "/sign-in")
        assert "orders" not in answer.text
        stranger = Browser(web)
        came_back = stranger.send("/sign-in", stranger.open(f"/sign-in?next={path}"), key=KEYS["viewer"])
        assert came_back.url.path == path
        assert "the-viewer" in came_back.text


def test_a_wrong_key_opens_nothing(web: Web) -> None:
    stranger = Browser(web)
    answer = stranger.send("/sign-in", stranger.open("/sign-in"), key="wrong")
    assert answer.status_code == 401
    assert "That is no key of this receiver." in answer.text
    assert stranger.client.get("/runs").url.path == "/sign-in"


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/\\evil.example", "/\r\nX: y", "javascript:1"]
)
def test_signing_in_leads_nowhere_else(web: Web, after: str) -> None:
    stranger = Browser(web)
    shown = stranger.client.get("/sign-in", params={"next": after}).text
    answer = stranger.client.post(
        "/sign-in", data={**dict(hidden(shown)), "key": KEYS["viewer"], "next": after}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


def test_a_form_counts_only_in_the_browser_that_was_shown_it(web: Web) -> None:
    first, other = Browser(web), Browser(web)
    shown = first.open("/sign-in")
    assert other.send("/sign-in", shown, key=KEYS["admin"]).status_code == 403
    other.open("/sign-in")
    assert other.send("/sign-in", shown, key=KEYS["admin"]).status_code == 403
    assert first.client.post("/sign-in", data={"key": KEYS["admin"]}).status_code == 403
    assert first.send("/sign-in", shown, key=KEYS["admin"]).status_code == 200


def test_a_huge_form_is_refused(web: Web) -> None:
    assert web.client.post("/sign-in", content=b"x" * 100_000).status_code == 413


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(tmp_path: Path) -> None:
    with Web(tmp_path, server={"external_url": "https://amend.example"}) as web:
        shown = web.client.get("/sign-in")
        form = re.sub("; .*", "", shown.headers["Set-Cookie"])
        answer = web.client.post(
            "/sign-in", data={**dict(hidden(shown.text)), "key": KEYS["viewer"]}, headers={"Cookie": form}
        )
        for cookie in (shown.headers["Set-Cookie"], answer.headers["Set-Cookie"]):
            for word in ("HttpOnly", "SameSite=strict", "Secure", "Path=/", "Max-Age=43200"):
                assert word in cookie


def test_a_session_ends_by_itself_and_is_worth_nothing_when_it_was_changed(web: Web, browser: Browser) -> None:
    session = browser.client.cookies["amend_session"]
    assert asked_with(session[:-2], web) == 401
    assert asked_with(f"x{session}", web) == 401
    assert asked_with(session, web) == 200
    web.now += timedelta(hours=13)
    assert asked_with(session, web) == 401


def test_signing_out_needs_the_forms_token(web: Web, browser: Browser) -> None:
    assert browser.client.post("/sign-out").status_code == 403
    assert "the-viewer" in browser.open("/runs")
    assert browser.send("/sign-out", browser.open("/runs")).url.path == "/sign-in"
    assert browser.client.get("/runs").url.path == "/sign-in"


def test_a_session_survives_a_restart_and_ends_when_keys_change(tmp_path: Path) -> None:
    with Web(tmp_path) as web:
        browser = Browser(web)
        browser.sign_in()
        session = browser.client.cookies["amend_session"]
    with Web(tmp_path) as web:
        assert asked_with(session, web) == 200
    with Web(tmp_path, auth={**web.settings.auth.model_dump(), "api_keys": web.settings.auth.api_keys[:2]}) as web:
        assert asked_with(session, web) == 401


def test_a_session_cannot_reload(web: Web, browser: Browser) -> None:
    browser.sign_in("admin")
    assert browser.client.post("/-/reload").status_code == 401
    assert web.reloaded_by == []


def test_the_overview_counts_what_acts_what_was_fixed_and_what_was_skipped(
    web: Web, seed: Seed, browser: Browser
) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    seed.fixed(seed.episode(NOON - 2 * timedelta(days=1), service="past"), NOON - 2 * timedelta(days=1))
    seed.act(seed.matched(seed.episode(NOON, service="users"), NOON), NOON, workload="users")
    for number, reason in enumerate((Reason.COOLDOWN, Reason.COOLDOWN, Reason.LOCKED)):
        seed.skip(seed.matched(seed.episode(NOON, service=f"s{number}"), NOON), NOON, reason, "no")
    shown = text_of(browser.open("/"))
    assert "1 acting or verifying now" in shown
    assert "1 / 2 fixed, of those attempted in 24 h" in shown
    assert "3 skipped in 24 h cooldown 2 locked 1" in shown


def test_the_overview_shows_deliveries_with_what_nobody_will_answer(web: Web, browser: Browser) -> None:
    body = message(alert("Slow"), alert("Bad")) | {"truncatedAlerts": 3}
    body["alerts"][1]["startsAt"] = "never"
    assert web.deliver(body).status_code == 200
    shown = text_of(browser.open("/"))
    assert "3 cut off by max_alerts" in shown
    assert "1 could not be read" in shown


def test_banners_say_what_nobody_may_miss(tmp_path: Path) -> None:
    with Web(tmp_path, prometheus={"url": "http://127.0.0.1:1"}) as web:
        metrics.RELOAD_SUCCESSFUL.set(1)
        browser = Browser(web)
        browser.sign_in()
        assert "banner" not in browser.open("/")
        metrics.RELOAD_SUCCESSFUL.set(0)
        shown = browser.open("/runs")
        metrics.RELOAD_SUCCESSFUL.set(1)
        assert "The newest configuration was refused" in shown


def test_a_receiver_without_prometheus_or_authentication_says_so_on_every_page(tmp_path: Path) -> None:
    with Web(tmp_path) as web:
        keys = web.settings.auth.api_keys
    with Web(tmp_path, auth={"webhook": {"insecure": True}, "api_keys": keys}) as web:
        browser = Browser(web)
        browser.sign_in()
        for path in ("/", "/runs", "/audit", "/playbooks"):
            assert "Insecure: the webhook takes alerts from anybody" in browser.open(path)
            assert "No Prometheus is configured" in browser.open(path)


def test_runs_are_filtered_by_clicking_a_label(web: Web, seed: Seed, browser: Browser) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    seed.skip(seed.matched(seed.episode(NOON, service="us=ers&"), NOON), NOON, Reason.COOLDOWN, "too soon")
    everything = browser.open("/runs")
    assert '<a href="/runs/1">' in everything
    link = re.search(r'href="(/runs\?label=service%3Dus[^"]*)"', everything)
    assert link
    only = browser.open(link[1])
    assert '<a href="/runs/2">' in only
    assert '<a href="/runs/1">' not in only
    assert '<input type="hidden" name="label" value="service=us=ers&amp;">' in only


def test_a_long_list_goes_on_with_its_filters(web: Web, seed: Seed, browser: Browser) -> None:
    episode = seed.episode(NOON)
    for number in range(1, 4):
        seed.matched(episode, NOON, attempt=number)
    first = browser.open("/runs?limit=2&status=matched&label=service%3Dorders")
    older = re.search(r'rel="next" href="([^"]*)"', first)
    assert older
    second = browser.open(older[1].replace("&amp;", "&"))
    assert re.findall(r'<a href="/runs/(\d)">', first + second) == ["3", "2", "1"]
    assert 'rel="next"' not in second


def test_a_wrong_filter_is_a_page_that_says_what_is_known(browser: Browser) -> None:
    shown = browser.open("/runs?status=don", code=400)
    assert "is not known; known are matched, skipped" in text_of(shown)
    assert "There is no run 7." in browser.open("/runs/7", code=404)
    assert "Not here" in browser.open("/nowhere", code=404)


def test_a_run_is_shown_from_the_alert_to_the_evidence(web: Web, seed: Seed, browser: Browser) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    shown = text_of(browser.open("/runs/1"))
    order = ["LatencyAnomaly fired", "z score 38.4", "Allowed by its guards", "cooldown", "restart done", "2.0 s later"]
    order += ["Looked whether it helped", "sight quiet", "Fixed", "In the audit log", "begins restart on compose/shop"]
    places = [shown.find(words) for words in order]
    assert -1 not in places, dict(zip(order, places, strict=True))
    assert places == sorted(places)


def test_a_skipped_run_shows_the_guard_that_said_no(web: Web, seed: Seed, browser: Browser) -> None:
    detail = "the last run on docker/local/compose/shop/orders ended at 11:58:00"
    run = seed.matched(seed.episode(NOON), NOON)
    seed.skip(run, NOON, Reason.COOLDOWN, detail, retry_at=NOON + 15 * MINUTE)
    shown = text_of(browser.open("/runs/1"))
    assert "Decided not to act" in shown
    assert f"cooldown: {detail}" in shown
    assert "Decided again at 2026-03-02 12:15:00 in 5m" in shown


def test_a_run_that_was_cut_off_is_shown_as_unknown(web: Web, seed: Seed, browser: Browser) -> None:
    run = seed.act(seed.matched(seed.episode(NOON), NOON), NOON)
    assert "no result yet" in browser.open("/runs/1")
    seed.conclude(run, NOON + MINUTE, status=StepStatus.UNKNOWN, error="cut off: the process is gone")
    seed.finish(run, NOON + MINUTE, Outcome.UNKNOWN, "cut off")
    shown = text_of(browser.open("/runs/1"))
    assert "cut off: the process is gone" in shown
    assert "nobody knows whether restart was done" in shown


def test_a_run_with_next_to_nothing_known_is_shown_too(web: Web, seed: Seed, browser: Browser) -> None:
    seed.matched(seed.episode(NOON, annotations={}), NOON)
    assert "To be decided" in browser.open("/runs/1")


def test_the_audit_page_filters_and_says_that_the_chain_holds(web: Web, seed: Seed, browser: Browser) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    seed.no_match(seed.episode(NOON, service="users"), NOON)
    shown = browser.open("/audit")
    head = web.get("/api/v1/audit", limit=1).json()["audit"][0]["hash"]
    assert f"chain verified: 7 entries, head {head[:16]}" in shown
    assert shown.count("<details>") == 7
    assert browser.open("/audit?kind=no_match").count("<details>") == 1
    assert browser.open("/audit?run=1&kind=&episode=").count("<details>") == 4
    assert browser.client.get("/api/v1/audit/export").text.count("\n") == 7


def test_the_audit_page_says_where_the_chain_is_broken_within_a_minute(web: Web, seed: Seed, browser: Browser) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    assert "chain verified" in browser.open("/audit")
    web.write(lambda connection: connection.exec_driver_sql("update audit set actor = 'x' where seq = 3"))
    web.now += MINUTE
    shown = text_of(browser.open("/audit"))
    assert "chain BROKEN: row 3 does not fit its hash: its content was changed" in shown


def test_the_audit_page_stands_when_a_row_cannot_be_read(web: Web, seed: Seed, browser: Browser) -> None:
    seed.fixed(seed.episode(NOON), NOON)
    assert "chain verified" in browser.open("/audit")
    web.write(lambda connection: connection.exec_driver_sql("update audit set data = 'x' where seq = 3"))
    assert "chain BROKEN: row 3 does not hold JSON" in browser.open("/audit")


def test_playbooks_are_shown_with_mode_matchers_and_last_outcomes(
    web: Web, seed: Seed, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "playbooks.yml").write_text(PLAYBOOKS)
    web.playbooks = read(tmp_path / "playbooks.yml", VERBS)
    seed.fixed(seed.episode(NOON), NOON)
    shown = text_of(browser.open("/playbooks"))
    assert f"{PLAYBOOK} enforce Restart a service whose latency left its band." in shown
    assert "alertname=&#34;LatencyAnomaly&#34; z_score &gt; 3 While it fires: restart ." in shown
    assert "Last outcomes: fixed" in shown
    assert "look-only observe disabled" in shown
    assert "Nothing is verified. Last outcomes: none yet" in shown


def test_hostile_text_is_shown_as_what_it_is_on_every_page(web: Web, seed: Seed, browser: Browser) -> None:
    annotations = {"summary": HOSTILE, "value": HOSTILE, "runbook_url": "javascript:alert(1)", "dashboard_url": HOSTILE}
    episode = seed.episode(NOON, annotations=annotations, alertname=HOSTILE, service=HOSTILE, pod="x" * 65_536)
    run = seed.act(seed.matched(episode, NOON), NOON, workload=HOSTILE)
    seed.conclude(run, NOON, status=StepStatus.FAILED, error=HOSTILE, answer=HOSTILE)
    seed.finish(run, NOON, Outcome.FAILED, HOSTILE)
    web.deliver(message(alert("x"), receiver=HOSTILE))
    for path in (*PAGES, "/runs?status=done", "/audit?run=1"):
        shown = browser.open(path)
        assert "<script" not in shown, path
        assert "javascript:" not in shown, path
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b]", shown), path
        assert len(shown) < 300_000, path
    shown = browser.open("/runs/1")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J\\r\\nSet-Cookie: a=b\\u202egnp.exe\\u2066\\u200b" in shown


def test_what_can_be_seen_is_left_as_it_is() -> None:
    assert visible("Grüße, 東京 🔥 – 5 µs") == "Grüße, 東京 🔥 – 5 µs"
    assert visible("a\tb\x7f\u2028\ufeff") == "a\\tb\\x7f\\u2028\\ufeff"


class Outline(HTMLParser):
    """Checks that tags nest, and keeps what a page refers to."""

    VOID = ("meta", "link", "img", "input", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.unnamed: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.addresses += [known[name] or "" for name in ("href", "src", "action") if name in known]
        self.inline += [name for name in known if name.startswith("on") or name == "style"]
        self.ids += [known["id"] or ""] if "id" in known else []
        if tag in ("script", "style"):
            self.inline.append(tag)
        if (
            tag in ("input", "select")
            and known.get("type") != "hidden"
            and "hidden" not in known
            and "label" not in self.open
        ):
            self.unnamed.append(str(known))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.open)


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/nowhere"])
def test_pages_are_well_formed_and_refer_to_nothing_outside(
    web: Web, seed: Seed, browser: Browser, path: str, tmp_path: Path
) -> None:
    (tmp_path / "playbooks.yml").write_text(PLAYBOOKS)
    web.playbooks = read(tmp_path / "playbooks.yml", VERBS)
    seed.fixed(seed.episode(NOON), NOON)
    outline = Outline()
    outline.feed(browser.open(path, code=404 if path == "/nowhere" else 200))
    assert outline.open == []
    assert outline.inline == []
    assert outline.unnamed == []
    assert len(outline.ids) == len(set(outline.ids))
    assert all(address.startswith(("/", "#")) for address in outline.addresses)
    for address in set(outline.addresses):
        if address.startswith("/static/"):
            assert browser.client.get(address).status_code == 200


def test_a_gauge_is_read_by_the_name_it_has(web: Web) -> None:
    assert REGISTRY.get_sample_value("amend_config_last_reload_successful") is not None


def test_the_store_being_away_is_a_page_too(web: Web, browser: Browser) -> None:
    web.ledger.engine.dispose()
    web.database.write_bytes(b"no database" * 1000)
    shown: Any = browser.open("/runs", code=503)
    assert "The store does not answer" in shown
