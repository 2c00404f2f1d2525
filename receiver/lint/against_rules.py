"""Checks of playbooks against the rules whose alerts they answer: each yields the mistakes of one kind.

The registry in `receiver.lint` names them. Without rules there is nothing to find.
"""

from collections.abc import Iterator

from receiver.conventions import ALERTNAME
from receiver.documents import Place, did_you_mean
from receiver.durations import format_duration
from receiver.errors import ConfigError
from receiver.lint.rules import Rule, Rules
from receiver.lint.setup import Setup, Written
from receiver.lint.templates import Read, reads
from receiver.matchers import Matcher


def unknown_alert(setup: Setup) -> Iterator[ConfigError]:
    """A matcher on an alert name that no rule has."""
    if setup.rules is None:
        return
    names = sorted({rule.alert for rule in setup.rules.alerts})
    for written in setup.playbooks:
        playbook = written.playbook
        for key, matchers in (("matchers", playbook.matchers), ("also_firing", playbook.also_firing)):
            for index, matcher in enumerate(matchers):
                if matcher.name == ALERTNAME and not any(matcher.matches({ALERTNAME: name}) for name in names):
                    message = f"no alerting rule fits {matcher}{did_you_mean(matcher.value, names)}"
                    yield written.error((key, index), message)


def never_match(setup: Setup) -> Iterator[ConfigError]:
    """Matchers that no alert of the rules can satisfy."""
    if setup.rules is None:
        return
    for written in setup.playbooks:
        named = setup.rules.fitting(matcher for _, matcher in _on_name(written))
        if not named or setup.rules.fitting(written.playbook.matchers):
            continue
        alone = [
            (index, matcher)
            for index, matcher in enumerate(written.playbook.matchers)
            if not any(setup.rules.can_match(rule, matcher) for rule in named)
        ]
        for index, matcher in alone:
            message = f"{matcher} can never match: {_instead(setup.rules, named, matcher)}"
            yield written.error(("matchers", index), message)
        if not alone:
            message = f"no rule fits all of these matchers at once; compare them with {named[0].place}"
            yield written.error(("matchers",), message)


def lost_target_label(setup: Setup) -> Iterator[ConfigError]:
    """A target named by a label that the alert does not carry."""
    for written, rules, rule in _pairs(setup):
        for place, read in _read(written, "target"):
            if read.root == "labels" and read.name not in rules.carried(rule) and not read.optional:
                message = f'the alert never carries the label "{read.name}"; {_keep(rules, rule, read.name)}'
                yield written.error(place, message)


def unset_name(setup: Setup) -> Iterator[ConfigError]:
    """A message or request that reads a label or annotation which the alert does not carry."""
    for written, rules, rule in _pairs(setup):
        for phase in ("steps", "on_failure"):
            for place, read in _read(written, phase):
                if read.optional:
                    continue
                if read.root == "labels" and read.name not in rules.carried(rule):
                    message = f'the alert never carries the label "{read.name}"; {_keep(rules, rule, read.name)}'
                    yield written.error(place, message)
                if read.root == "annotations" and read.name not in rule.annotations:
                    near = did_you_mean(read.name, list(rule.annotations))
                    message = f'the rule at {rule.place} sets no annotation "{read.name}"{near}'
                    yield written.error(place, message)


def missing_number(setup: Setup) -> Iterator[ConfigError]:
    """A condition on a number that the rule does not put into an annotation."""
    for written, _, rule in _pairs(setup):
        condition = written.playbook.condition
        for number in sorted(condition.numbers - rule.annotations.keys()) if condition else ():
            message = f'the rule at {rule.place} sets no annotation "{number}"; add it there, or leave it out here'
            yield written.error(("condition",), message)


def too_short_verify(setup: Setup) -> Iterator[ConfigError]:
    """A verification that ends before the rule can have changed its mind."""
    for written, _, rule in _pairs(setup):
        verify = written.playbook.verify
        needed = rule.held + rule.interval
        if verify and verify.resolved_within and verify.resolved_within <= needed:
            message = (
                f"resolved_within: {format_duration(verify.resolved_within)} is not longer than for: "
                f"{format_duration(rule.held)} and the interval of {format_duration(rule.interval)} of the rule at "
                f"{rule.place}; give it more than {format_duration(needed)}"
            )
            yield written.error(("verify", "resolved_within"), message)


def _pairs(setup: Setup) -> Iterator[tuple[Written, Rules, Rule]]:
    """Each playbook with the rules that it can answer, one of each alert name: tiers of an alert are alike."""
    if setup.rules is None:
        return
    for written in setup.playbooks:
        by_name = {rule.alert: rule for rule in reversed(setup.rules.fitting(written.playbook.matchers))}
        for rule in by_name.values():
            yield written, setup.rules, rule


def _on_name(written: Written) -> Iterator[tuple[int, Matcher]]:
    return ((i, matcher) for i, matcher in enumerate(written.playbook.matchers) if matcher.name == ALERTNAME)


def _read(written: Written, inside: str) -> Iterator[tuple[Place, Read]]:
    """The names that the templates at a place read, each with the place of its text."""
    return ((place, read) for place, text in written.texts((inside,)) for read in reads(text))


def _keep(rules: Rules, rule: Rule, label: str) -> str:
    """The way out where a label is missing."""
    way_out = f'keep "{label}" in the aggregation at {rule.place}, or take another label'
    return way_out if rules.external_known else f"{way_out} (external labels are known only with --prometheus)"


def _instead(rules: Rules, named: list[Rule], matcher: Matcher) -> str:
    texts = sorted({text for rule in named if (text := rule.sets(matcher.name)) is not None})
    if texts:
        shown = ", ".join(f'"{text}"' for text in texts)
        return f"{named[0].alert} ({named[0].place}) sets {matcher.name} to {shown}{did_you_mean(matcher.value, texts)}"
    return f"{named[0].alert} never carries it; {_keep(rules, named[0], matcher.name)}"
