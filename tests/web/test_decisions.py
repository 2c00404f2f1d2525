"""People decide through the API and the pages: by POST alone, once, in time, and only those who were asked."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.approval import Answer, Approval
from receiver.run import Run, Status
from receiver.store import approvals, pause, runs
from tests.web.browser import Browser
from tests.web.conftest import KEYS, Web
from tests.web.seed import Seed

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def seed(web: Web) -> Seed:
    web.now = NOON + MINUTE
    return Seed(web)


@pytest.fixture
def run(seed: Seed) -> Run:
    return seed.matched(seed.episode(NOON), NOON)


@pytest.fixture
def asked(seed: Seed, run: Run) -> Approval:
    return seed.ask(run, NOON)


@pytest.fixture
def browser(web: Web) -> Iterator[Browser]:
    browser = Browser(web)
    with browser.client:
        browser.sign_in("approver")
        yield browser


def link(web: Web, asked: Approval) -> str:
    return f"/approvals/{web.doors.signer.approval(asked)}"


def answer(web: Web, run_id: int = 1) -> tuple[Answer | None, str, str]:
    found = web.read(lambda connection: approvals.latest(connection, run_id))
    assert found
    return found.decision, found.decided_by, found.comment


# ── the API ──


@pytest.mark.parametrize(("path", "said"), [("approve", "approved"), ("reject", "rejected")])
def test_an_approver_decides_about_a_run(web: Web, run: Run, asked: Approval, path: str, said: str) -> None:
    told = web.get(f"/api/v1/runs/{run.id}").json()["approval"]
    assert (told["decision"], told["steps"]) == (None, [{"verb": "restart", "arguments": {"grace": "10s"}}])
    answered = web.post(f"/api/v1/runs/{run.id}/{path}", comment="why", digest=told["digest"])
    assert (answered.status_code, answered.json()) == (200, {"status": said, "run": run.id})
    assert answer(web) == (said, "the-approver", "why")
    assert web.woken == 1


def test_a_decision_needs_no_body(web: Web, run: Run, asked: Approval) -> None:
    assert web.client.post(
        f"/api/v1/runs/{run.id}/approve", headers={"Authorization": f"Bearer {KEYS['admin']}"}
    ).json() == {"status": "approved", "run": run.id}


@pytest.mark.parametrize("path", ["runs/1/approve", "runs/1/reject", "runs/1/cancel", "pause", "resume"])
def test_who_may_only_look_decides_nothing(web: Web, run: Run, asked: Approval, path: str) -> None:
    assert web.client.post(f"/api/v1/{path}").status_code == 401
    assert web.post(f"/api/v1/{path}", role="viewer").status_code == 403
    assert web.get(f"/api/v1/{path}", role="admin").status_code == 405
    assert answer(web)[0] is None
    assert web.read(pause.current) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an object"),
        (b'{"coment": "x"}', 'unknown key "coment"'),
        (b'{"comment": 7}', "must be a text"),
        (b'{"comment": "\\u0000"}', "without NUL"),
        (b'{"comment": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "J"),
    ],
)
def test_a_body_that_is_not_as_it_should_be_is_a_400(web: Web, asked: Approval, body: bytes, said: str) -> None:
    headers = {"Authorization": f"Bearer {KEYS['approver']}", "Content-Type": "application/json"}
    answered = web.client.post("/api/v1/runs/1/approve", content=body, headers=headers)
    assert answered.status_code in (400, 413), answered.text
    assert said in answered.json()["error"] or answered.status_code == 413


def test_half_a_character_in_a_comment_breaks_nothing(web: Web, run: Run, asked: Approval) -> None:
    headers = {"Authorization": f"Bearer {KEYS['approver']}", "Content-Type": "application/json"}
    body = rb'{"comment": "\ud800"}'
    assert web.client.post("/api/v1/runs/1/approve", content=body, headers=headers).status_code == 200
    assert web.get(f"/api/v1/runs/{run.id}").status_code == 200


@pytest.mark.parametrize("path", ["runs/9/approve", "runs/9/cancel", "runs/x/approve"])
def test_a_run_that_is_not_there_cannot_be_decided(web: Web, path: str) -> None:
    assert web.post(f"/api/v1/{path}").status_code == 404


def test_what_came_too_late_or_is_about_something_else_is_a_409(
    web: Web, seed: Seed, run: Run, asked: Approval
) -> None:
    assert "has changed since it was shown" in web.post("/api/v1/runs/1/approve", digest="another").json()["error"]
    web.now = NOON + 10 * MINUTE
    late = web.post("/api/v1/runs/1/approve")
    assert (late.status_code, answer(web)[0]) == (409, None)
    assert "the time to decide was over at 2026-03-02 12:10:00 UTC" in late.text


def test_only_members_of_the_teams_that_were_asked_are_heard(tmp_path: Path) -> None:
    with Web(tmp_path, teams={"team-shop": {"api_keys": ["the-approver"]}}) as web:
        web.now = NOON + MINUTE
        seed = Seed(web)
        seed.ask(seed.matched(seed.episode(NOON), NOON), NOON, approvers=["team-shop"])
        refused = web.post("/api/v1/runs/1/approve", role="admin")
        assert (refused.status_code, "the-admin" in refused.text) == (403, True)
        assert web.post("/api/v1/runs/1/approve").status_code == 200


def test_a_run_that_waits_is_cancelled_and_one_that_acts_is_not(
    web: Web, seed: Seed, run: Run, asked: Approval
) -> None:
    assert web.post("/api/v1/runs/1/cancel", comment="by hand").json() == {"status": "cancelled", "run": 1}
    found = web.read(lambda connection: runs.get(connection, run.id))
    assert found
    assert (found.status, found.detail) == (Status.CANCELLED, "by the-approver: by hand")
    acting = seed.act(seed.matched(seed.episode(NOON, service="users"), NOON), NOON)
    refused = web.post(f"/api/v1/runs/{acting.id}/cancel")
    assert (refused.status_code, "acting" in refused.text) == (409, True)


def test_everything_is_paused_and_goes_on(web: Web) -> None:
    assert web.post("/api/v1/pause", comment="deploying").json() == {"status": "paused", "changed": True}
    assert web.post("/api/v1/pause").json() == {"status": "paused", "changed": False}
    told = web.get("/api/v1/status").json()["paused"]
    assert (told["by"], told["why"]) == ("the-approver", "deploying")
    assert web.post("/api/v1/resume").json() == {"status": "resumed", "changed": True}
    assert web.get("/api/v1/status").json()["paused"] is None
    assert web.woken == 1


# ── links and pages ──


def test_fifty_looks_at_a_link_decide_nothing(web: Web, run: Run, asked: Approval, browser: Browser) -> None:
    for _ in range(50):
        assert "May restart-slow-service act?" in browser.open(link(web, asked))
    assert answer(web)[0] is None


def test_a_link_leads_a_stranger_to_sign_in_and_back(web: Web, asked: Approval) -> None:
    stranger = Browser(web)
    with stranger.client:
        page = stranger.open(link(web, asked))
        assert "Approve" not in page
        assert "May restart-slow-service act?" in stranger.send("/sign-in", page, key=KEYS["approver"]).text


@pytest.mark.parametrize(("decision", "said"), [("approve", "approved"), ("reject", "rejected")])
def test_a_decision_on_the_page_is_taken_and_leads_to_the_run(
    web: Web, asked: Approval, browser: Browser, decision: str, said: str
) -> None:
    page = browser.open(link(web, asked))
    shown = browser.send(link(web, asked), page, decision=decision, comment="go")
    assert (shown.status_code, shown.url.path) == (200, f"/runs/{asked.run_id}")
    assert f"People were asked: {said}" in shown.text
    assert answer(web) == (said, "the-approver", "go")
    assert "Approve</button>" not in browser.open(link(web, asked))


def test_of_fifty_clicks_at_once_one_counts(web: Web, run: Run, asked: Approval, browser: Browser) -> None:
    page = browser.open(link(web, asked))
    browser.client.follow_redirects = False
    with ThreadPoolExecutor(10) as pool:
        codes = list(
            pool.map(lambda _: browser.send(link(web, asked), page, decision="approve").status_code, range(50))
        )
    assert sorted(codes) == [303] + [409] * 49
    rows = web.get("/api/v1/audit", kind="approved").json()["audit"]
    assert len(rows) == 1


def test_a_link_that_was_altered_is_none_of_ours(web: Web, run: Run, asked: Approval, browser: Browser) -> None:
    page, good = browser.open(link(web, asked)), link(web, asked)
    for position in range(len("/approvals/"), len(good), 7):
        bad = good[:position] + ("A" if good[position] != "A" else "B") + good[position + 1 :]
        assert browser.client.get(bad).status_code == 404
        assert browser.send(bad, page, decision="approve").status_code == 404
    assert answer(web)[0] is None


def test_a_link_of_another_request_of_the_same_run_decides_nothing(
    web: Web, seed: Seed, run: Run, asked: Approval, browser: Browser
) -> None:
    web.write(lambda connection: approvals.withdraw(connection, run.id, at=web.now))
    found = web.read(lambda connection: runs.get(connection, run.id))
    assert found
    seed.ask(found, NOON)
    refused = browser.send(link(web, asked), browser.open("/"), decision="approve")
    assert (refused.status_code, "nothing is asked any more" in refused.text) == (409, True)
    assert answer(web)[0] is None


def test_a_link_that_expired_decides_nothing(web: Web, run: Run, asked: Approval, browser: Browser) -> None:
    page = browser.open(link(web, asked))
    web.now = NOON + 10 * MINUTE
    assert browser.send(link(web, asked), page, decision="approve").status_code == 409
    assert "The time to decide is over." in browser.open(link(web, asked))
    assert answer(web)[0] is None


def test_a_form_of_another_site_decides_nothing(web: Web, run: Run, asked: Approval, browser: Browser) -> None:
    for path in (link(web, asked), "/pause", "/resume"):
        assert browser.client.post(path, data={"decision": "approve"}).status_code == 403
    session = {"Cookie": f"amend_session={browser.client.cookies['amend_session']}"}
    plain = web.client.post("/api/v1/runs/1/approve", content=b"{}", headers={**session, "Content-Type": "text/plain"})
    assert plain.status_code == 415
    assert answer(web)[0] is None
    assert web.read(pause.current) is None


def test_a_viewer_sees_what_is_asked_and_no_buttons(web: Web, run: Run, asked: Approval) -> None:
    viewer = Browser(web)
    with viewer.client:
        viewer.sign_in("viewer")
        page = viewer.open(link(web, asked))
        assert "is not among those who are asked" in page
        assert viewer.send(link(web, asked), page, decision="approve").status_code == 403
    assert answer(web)[0] is None


def test_the_list_shows_what_waits_with_a_link_to_decide(web: Web, run: Run, asked: Approval, browser: Browser) -> None:
    page = browser.open("/approvals")
    (address,) = re.findall(r'href="(/approvals/[^"]+)"', page)
    assert address == link(web, asked)
    browser.send(address, browser.open(address), decision="reject")
    assert "Nobody is asked for anything." in browser.open("/approvals")


def test_the_overview_pauses_and_resumes(web: Web, browser: Browser) -> None:
    shown = browser.send("/pause", browser.open("/"), comment="<b>deploying</b>")
    assert "paused by the-approver since" in shown.text
    assert "&lt;b&gt;deploying&lt;/b&gt;" in shown.text
    assert "Paused: no action starts anywhere, on any replica." in shown.text
    assert "paused by" not in browser.send("/resume", shown.text).text
    assert web.read(pause.current) is None


@pytest.mark.parametrize("path", ["/pause", "/resume", "link"])
def test_a_form_takes_no_nul_and_no_novel(web: Web, asked: Approval, browser: Browser, path: str) -> None:
    for comment in ("a\x00b", "x" * 1001):
        shown = browser.open(link(web, asked))
        answered = browser.send(link(web, asked) if path == "link" else path, shown, decision="reject", comment=comment)
        assert answered.status_code == 400, answered.text


def test_an_empty_digest_is_not_no_digest(web: Web, asked: Approval) -> None:
    web.post("/api/v1/runs/1/approve", digest="")
    assert answer(web)[0] is None, "a script with a variable that is not set agrees to nothing"
