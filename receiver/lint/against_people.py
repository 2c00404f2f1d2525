"""Checks of who is asked, told and may answer: each yields the mistakes of one kind.

The registry in `receiver.lint` names them.
"""

from collections.abc import Iterator, Sequence

from receiver.documents import did_you_mean
from receiver.errors import ConfigError
from receiver.lint.setup import Setup


def unknown_team(setup: Setup) -> Iterator[ConfigError]:
    """Approvers that amend.yml does not have, or of whom none may answer: nobody could agree."""
    teams, clicks = setup.settings.auth.teams, setup.settings.slack is not None
    may_answer = {key.name for key in setup.settings.auth.api_keys if key.role != "viewer"}
    for written in setup.playbooks:
        rule = written.playbook.approval
        for index, name in enumerate(rule.approvers if rule else ()):
            place = ("approval", "approvers", index)
            if name not in teams:
                way_out = did_you_mean(name, list(teams)) or f"; add it to auth.teams in {setup.document.path}"
                yield written.error(place, f'no team is called "{name}"{way_out}')
            elif not may_answer & set(teams[name].api_keys) and not (clicks and teams[name].slack_users):
                message = f'nobody in "{name}" may answer; give one of them the role approver in {setup.document.path}'
                yield written.error(place, message)


def nobody_told(setup: Setup) -> Iterator[ConfigError]:
    """An approval that people are asked for, and of which nobody hears."""
    receivers = {receiver.name for receiver in setup.settings.receivers}
    for written in setup.playbooks:
        rule = written.playbook.approval
        if not rule or rule.required == "never" or receivers & set(rule.approvers):
            continue
        if not rule.approvers:
            way_out = "name a team in approvers:, and call a receiver as that team"
            yield written.error(("approval",), f"asks every approver, and tells none; {way_out}")
        elif set(rule.approvers) <= set(setup.settings.auth.teams):
            who = " or ".join(f'"{name}"' for name in rule.approvers)
            message = f"asks people, and tells nobody that it does; call a receiver {who} in {setup.document.path}"
            yield written.error(("approval",), message)


def no_link(setup: Setup) -> Iterator[ConfigError]:
    """People who are asked, and get no link to where they answer."""
    if setup.settings.server.external_url:
        return
    for written in setup.playbooks:
        rule = written.playbook.approval
        if rule and rule.required != "never" and rule.approvers and not _all_click(setup, rule.approvers):
            message = f"asks people without a link to the answer; set server.external_url in {setup.document.path}"
            yield written.error(("approval",), message)


def _all_click(setup: Setup, approvers: Sequence[str]) -> bool:
    """Whether each of these teams is asked by buttons in Slack, which need no link."""
    receivers = {receiver.name: receiver for receiver in setup.settings.receivers}
    teams = setup.settings.auth.teams
    listed = all(name in teams and teams[name].slack_users for name in approvers)
    return (
        bool(setup.settings.slack) and listed and all(name in receivers and receivers[name].slack for name in approvers)
    )


def no_buttons(setup: Setup) -> Iterator[ConfigError]:
    """People who may answer in Slack, and whose clicks would not be taken."""
    if setup.settings.slack:
        return
    for name, team in setup.settings.auth.teams.items():
        if team.slack_users:
            message = f'"{name}" has slack_users, and gets no buttons; add slack: {{signing_secret_file: FILE}}'
            yield setup.document.error(("auth", "teams", name, "slack_users"), message)
