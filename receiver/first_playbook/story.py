"""The test of a first playbook: that it acts, that it tells people when that does not help, and when it does neither.

It is written from the same draft as the playbook, so it passes as it is, and fails when somebody changes the one alone.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from receiver.conventions import ALERTNAME, RUNBOOK_URL, SEVERITY, SUMMARY
from receiver.durations import format_duration
from receiver.first_playbook import messages
from receiver.first_playbook.aim import COMPOSE, Aim
from receiver.first_playbook.draft import Draft
from receiver.first_playbook.lines import comment, mapping, quoted
from receiver.first_playbook.plan import HOUR, MINUTE, numbers, too_small
from receiver.first_playbook.text import KINDS

LONGEST: Final = 6 * HOUR  #: a verification; a test looks as often as production does, and days of it take minutes

SAMPLES: Final = {
    "namespace": "shop",
    "pod": "cart-7d4b9c8f5-x2x9z",
    "node": "worker-1",
    "instance": "10.0.0.7:8080",
    COMPOSE[0]: "shop",
    "destination_workload_namespace": "shop",
    "dst_namespace": "shop",
}
"""Values of labels in a test; `cart` for all others."""


def story(draft: Draft) -> str:
    """The whole file of tests."""
    header = comment(
        f"What {draft.file} does, as if it said `mode: enforce` already. `amend playbooks test` runs it; "
        "docs/how-to/test-playbooks.md says what else can happen and be expected."
    )
    stories = _told(draft) if draft.aim is None else _acted(draft, draft.aim)
    files = f"playbook_files: [{quoted(f'../{draft.file.name}')}]"
    return "\n".join([*header, files, "", "tests:", *stories, *_small(draft), *_observed(draft), ""])


def _acted(draft: Draft, aim: Aim) -> Iterator[str]:
    verb, target = draft.plan.remedy, aim.named(_labels(draft))
    said = messages.begins(verb, _labels(draft)[aim.labels()[-1]])
    acted = f"action: {verb}, target: {quoted(target)}, told: {quoted(said)}"
    yield f"- name: what it does to {KINDS[aim.kind]} helps, and nothing follows"
    yield f"  platform: {_platform(aim, target)}"
    yield "  input:"
    yield from _fires(draft)
    yield "  - {at: 2m, repeat: previous}"
    yield "  - {at: 4m, resolved: previous}"
    yield "  expect:"
    yield f"  - {{at: 0m, {acted}}}"
    fixed = "outcome: fixed, " if draft.plan.verified else ""
    yield f"  - {{at: 7m, runs: 1, {fixed}actions: [{verb}, notify]}}"
    if draft.plan.resolved_within and draft.plan.deadline <= LONGEST:
        yield from _in_vain(draft, aim, target)
    yield ""
    yield "- name: what the test does not know is no reason to touch something else"
    yield f"  platform: {_platform(aim, target + '-of-another-name')}"
    yield "  input:"
    yield from _fires(draft)
    yield "  expect:"
    yield "  - {at: 0m, reason: no_target, actions: []}"


def _in_vain(draft: Draft, aim: Aim, target: str) -> Iterator[str]:
    plan = draft.plan
    verb, count = plan.remedy, plan.attempts
    # the first attempt ends with its deadline, each further one follows the cooldown of the one before
    end = count * (plan.deadline + MINUTE) + (count - 1) * (plan.cooldown + MINUTE)
    yield ""
    yield f"- name: {'two attempts' if count > 1 else 'an attempt'} in vain, and people are told"
    yield f"  platform: {_platform(aim, target)}"
    yield "  input:"
    yield from _fires(draft, severity=-1)
    yield "  expect:"
    yield f"  - {{at: {format_duration(plan.deadline + MINUTE)}, attempt: 1, outcome: not_fixed}}"
    steps = ", ".join([f"{verb}, notify"] * count)
    yield f"  - {{at: {format_duration(end + MINUTE)}, attempt: {count}, actions: [{steps}, notify]}}"


def _told(draft: Draft) -> Iterator[str]:
    yield "- name: people are told once, and nothing is touched"
    yield "  input:"
    yield from _fires(draft)
    yield "  - {at: 5m, repeat: previous}"
    yield "  expect:"
    yield f"  - {{at: 0m, run: {draft.name}, status: done, actions: [notify, analyze]}}"
    yield "  - {at: 10m, runs: 1, actions: [notify, analyze]}"


def _small(draft: Draft) -> Iterator[str]:
    small = too_small(draft.plan)
    if small is None:
        return
    yield ""
    yield "- name: a small deviation is left alone"
    if draft.aim:
        yield f"  platform: {_platform(draft.aim, draft.aim.named(_labels(draft)))}"
    yield "  input:"
    yield from _fires(draft, but=small)
    yield "  expect:"
    yield "  - {at: 0m, status: skipped, reason: condition_false, actions: []}"


def _observed(draft: Draft) -> Iterator[str]:
    yield ""
    yield "# Take this one away with `mode: observe`."
    yield "- name: while it observes it touches nothing"
    yield "  mode: as_written"
    if draft.aim:
        yield f"  platform: {_platform(draft.aim, draft.aim.named(_labels(draft)))}"
    yield "  input:"
    yield from _fires(draft)
    yield "  expect:"
    yield "  - {at: 0m, outcome: observed, actions: []}"


def _fires(draft: Draft, *, severity: int = 0, but: Mapping[str, float] | None = None) -> Iterator[str]:
    labels = _labels(draft)
    if draft.subject.severities:
        labels[SEVERITY] = draft.subject.severities[severity]
    annotations: dict[str, object] = {**numbers(draft.subject, draft.plan), **(but or {})}
    for name, text in ((SUMMARY, f"What {draft.file.stem} is about"), (RUNBOOK_URL, "https://runbooks.example.com/")):
        if draft.subject.annotates(name):
            annotations[name] = text
    yield "  - at: 0m"
    yield f"    firing: {mapping(labels.items())}"
    if annotations:
        yield f"    annotations: {mapping(annotations.items())}"


def _labels(draft: Draft) -> dict[str, str]:
    """Labels that such an alert has: what the rules say outright, and samples for what comes from the series."""
    subject = draft.subject
    wanted = {*subject.from_series, *(draft.aim.labels() if draft.aim else ())}
    sampled = {label: SAMPLES.get(label, "cart") for label in sorted(wanted)}
    return {ALERTNAME: subject.name, **sampled, **subject.fixed()}


def _platform(aim: Aim, target: str) -> str:
    replicas = "replicas: 2" if aim.kind not in {"Pod", "Node", "container"} else ""
    return f"{{{aim.platform}: {{{quoted(target)}: {{{replicas}}}}}}}"
