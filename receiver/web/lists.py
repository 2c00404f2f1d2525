"""The lists that the API and the pages show alike: runs and rows of the audit log, as a query asks for them."""

import sqlalchemy as sa

from receiver.audit import Entry, Kind
from receiver.run import Episode, Outcome, Reason, Run, Status
from receiver.store import episodes, log, runs
from receiver.web.query import Page, Query

RUN_FILTERS = ("status", "outcome", "reason", "playbook", "workload", "episode", "label", "limit", "cursor")
AUDIT_FILTERS = ("kind", "run", "episode", "limit", "cursor")


def page_of_runs(connection: sa.Connection, query: Query) -> tuple[Page[Run], dict[int, Episode]]:
    """The runs that a query asks for, and the episodes they answer, by id."""
    rows = runs.page(
        connection,
        limit=query.limit + 1,
        before=query.before,
        status=query.one_of("status", Status),
        outcome=query.one_of("outcome", Outcome),
        reason=query.one_of("reason", Reason),
        playbook=query.text("playbook"),
        workload=query.text("workload"),
        episode_id=query.number("episode"),
        labels=query.labels,
    )
    page = Page.cut(rows, query.limit, lambda run: run.id)
    found = {run.episode_id: episodes.get(connection, run.episode_id) for run in page.rows}
    return page, {episode_id: episode for episode_id, episode in found.items() if episode}


def page_of_entries(connection: sa.Connection, query: Query) -> Page[Entry]:
    """The rows of the audit log that a query asks for."""
    rows = log.page(
        connection,
        limit=query.limit + 1,
        before=query.before,
        kind=query.one_of("kind", Kind),
        run_id=query.number("run"),
        episode_id=query.number("episode"),
    )
    return Page.cut(rows, query.limit, lambda entry: entry.seq)
