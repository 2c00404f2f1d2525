"""The first playbook as a file that its reader goes on writing: each line under the reason why it is as it is.

What a person must look at is marked ←. Whatever the rules are called and hold, the text is one that playbook.py reads.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Final

from receiver.conventions import ALERTNAME, SEVERITY
from receiver.durations import format_duration
from receiver.first_playbook import messages
from receiver.first_playbook.aim import Aim
from receiver.first_playbook.cure import Cure, Remedy
from receiver.first_playbook.draft import Draft
from receiver.first_playbook.lines import beside, comment, quoted, spelled
from receiver.first_playbook.subject import Subject
from receiver.labels import quoted as in_matcher

DESCRIBED: Final = {
    Remedy.RESTART: "Restart what raises",
    Remedy.DELETE_POD: "Evict the pod that raises",
    Remedy.SCALE: "Give one replica more to what raises",
    Remedy.CORDON: "Keep new pods off the node that raises",
    Remedy.ANALYZE: "Tell people, and what may be behind it, of",
}
KINDS: Final = {
    "Deployment": "a Deployment",
    "StatefulSet": "a StatefulSet",
    "DaemonSet": "a DaemonSet",
    "Pod": "a pod",
    "Node": "a node",
    "compose": "a service of Docker Compose",
    "container": "a container of Docker",
}
STEPS: Final = {
    Remedy.RESTART: ("restart: {}", "a rollout in Kubernetes; in Docker container by container", "5m"),
    Remedy.DELETE_POD: (
        "delete_pod: {}",
        "by eviction, so that PodDisruptionBudgets hold; its owner makes another",
        "3m",
    ),
    Remedy.SCALE: ("scale: {by: 1, max: 6}", "← how many can you bear, and what stands behind them?", "5m"),
    Remedy.CORDON: ("cordon: {}", "what runs there goes on; nothing new comes", "1m"),
}
LIMITS: Final = {
    Remedy.RESTART: ("{count: 1, within: 30m}", "several at once have one cause, and it is not in all of them"),
    Remedy.DELETE_POD: ("{count: 1, within: 30m}", "several pods at once have one cause, and it is not in all of them"),
    Remedy.SCALE: ("{count: 2, within: 30m}", "more load everywhere wants a person, and a larger cluster"),
    Remedy.CORDON: ("{count: 1, within: 1d}", "several nodes less, and the rest bears too much"),
}


def playbook(draft: Draft) -> str:
    """The whole file."""
    return "\n".join([*_header(draft), "playbooks:", *_playbook(draft), ""])


def _header(draft: Draft) -> Iterator[str]:
    places = ", ".join(safe(rule.place) for rule in draft.subject.rules[:3])
    told = f"A first answer to {draft.subject.name}: `amend playbooks init` wrote it after a look at {places}."
    yield from comment(f"{told} It is yours now: read each line, first those marked ←.")
    yield "#"
    test = f"amend playbooks test {shlex.quote(str(draft.test))}"
    observed = f"amend runs list --playbook {draft.name} --outcome observed"
    questions = {
        draft.check: "does it fit amend.yml and the rules?",
        test: "does it do what its test expects?",
        observed: "what would it have done?",
    }
    width = min(max(map(len, questions)), 64)
    for command, question in questions.items():
        yield f"#   {spelled(command).ljust(width)}  {question}"
    yield "#"
    yield from comment(
        "It observes: it decides everything, writes down what it would do, and touches nothing. Look at that for some "
        "days, and then write `mode: enforce`. docs/how-to/write-a-playbook.md goes through it step by step, "
        "docs/reference/playbook.md has every key."
    )


def _playbook(draft: Draft) -> Iterator[str]:
    yield ""
    yield f"- name: {draft.name}"
    yield f"  description: {quoted(f'{DESCRIBED[draft.plan.remedy]} {draft.subject.name}.')}"
    yield beside("  mode: observe", "`enforce` does it; first look at what it would have done")
    yield from _matchers(draft.subject)
    yield from _condition(draft)
    yield from _target(draft)
    yield from _limits(draft)
    yield from _steps(draft)
    yield from _verify(draft)
    yield from _on_failure(draft)


def _matchers(subject: Subject) -> Iterator[str]:
    matchers = [f"{ALERTNAME}={in_matcher(subject.name)}"]
    severities = subject.severities
    if len(severities) > 1 and all(re.fullmatch(r"[\w-]+", each) for each in severities):
        matchers.append(f'{SEVERITY}=~"{"|".join(severities)}"')
        yield from comment(
            "Alertmanager's matchers; all must fit. Every severity that the rules have is here: where Alertmanager "
            "mutes the lower one as the higher one fires, only that one arrives. Leave out what is not worth it.",
            indent=2,
        )
    else:
        yield from comment(
            "Alertmanager's matchers; all must fit. Add one to answer only a part of the alerts.", indent=2
        )
    yield f"  matchers: [{', '.join(map(quoted, matchers))}]"


def _condition(draft: Draft) -> Iterator[str]:
    numbers = draft.subject.numbers
    if not numbers:
        yield from comment(
            "No condition: the rule puts no number into its annotations. With `value: '{{ $value }}'` there, a "
            "condition such as value > 0.5 could stand here.",
            indent=2,
        )
    elif not draft.plan.condition:
        yield from comment(
            f"← No condition: the expression does not show where its numbers ({', '.join(numbers)}) become too large. "
            f"Only from where on is it worth it? For example:",
            indent=2,
        )
        yield f"  # condition: {numbers[0]} > 1"
    else:
        much = any(each.number == "deviation_percent" for each in draft.plan.condition)
        told = (
            "← From where on is it worth it? The number is in the alert's annotations, and the bound that of the rule"
        )
        told += (
            "; half as much again, too, as on a very even series little is unusual." if much else ": raise it to wait."
        )
        yield from comment(told, indent=2)
        if (
            draft.plan.acts
            and draft.subject.bounds
            and None not in (draft.subject.bounds.above, draft.subject.bounds.below)
        ):
            yield from comment("The alert is also raised by less than usual, where this would not help.", indent=2)
        yield f"  condition: {draft.plan.condition_text}"


def _target(draft: Draft) -> Iterator[str]:
    aim, other = draft.aim, draft.choice.other
    if aim is None:
        yield from comment(f"← Nothing is acted on: {draft.cure.why}.", indent=2)
        found = draft.choice.aim or other
        if draft.choice.aim is None:
            yield from comment(f"No target: {draft.choice.why}.", indent=2)
        if found:
            remedy = _could(draft.cure, found)
            yield from comment(f"To act after all, give it this target, and the step {remedy}:", indent=2)
            yield f"  # target: {found.written(draft.around.instance(found.platform))}"
        yield "  target: none"
        return
    marked = "← " if aim.guess or aim.platform == "docker" or aim.kind == "Node" else ""
    yield from comment(f"{marked}What to act on: {aim.why}. {_allowed(aim)}", indent=2)
    if not draft.subject.certain:
        yield from comment("← The expression names no labels; look at an alert whether it carries these.", indent=2)
    yield f"  target: {aim.written(draft.around.instance(aim.platform))}"
    if other:
        yield from comment(f"← If it is {KINDS[other.kind]}, take this line instead:", indent=2)
        yield f"  # target: {other.written(draft.around.instance(other.platform))}"


def _could(cure: Cure, aim: Aim) -> str:
    """A step that fits the kind, for whoever knows better."""
    if aim.kind == "Node":
        return "cordon: {}"
    if aim.kind == "Pod":
        return "delete_pod: {}"
    return "scale: {by: 1, max: 6}" if cure.instead_of is Remedy.SCALE and aim.kind != "DaemonSet" else "restart: {}"


def _allowed(aim: Aim) -> str:
    """What amend.yml must say so that it may be touched."""
    if aim.platform == "docker":
        return "The container needs a label that amend.yml allows: amend.enable=true."
    if aim.kind == "Node":
        return "The node needs a label of allow_nodes in amend.yml."
    return "Its namespace must be among the namespaces in amend.yml."


def _limits(draft: Draft) -> Iterator[str]:
    plan = draft.plan
    within = f"{{count: {plan.attempts}, within: {format_duration(plan.within)}}}"
    if not plan.acts:
        yield beside("  cooldown: 1m", "without a target all of these alerts share it: others wait so long")
        yield beside(f"  max_attempts: {within}", "each alert is told once, and not at every repetition")
        return
    unit = "the node" if draft.aim and draft.aim.kind == "Node" else "it"
    yield beside(f"  cooldown: {format_duration(plan.cooldown)}", f"{unit} is left alone for so long after each run")
    often = (
        "when one did not help, a second will not"
        if plan.attempts == 1
        else f"when {plan.attempts} did not help, people must"
    )
    yield beside(f"  max_attempts: {within}", often)
    count, why = LIMITS[plan.remedy]
    yield beside(f"  max_targets: {count}", why)
    if plan.healthy and plan.remedy is Remedy.RESTART and draft.aim and draft.aim.kind != "container":
        yield beside("  min_healthy: 51%", "with fewer replicas well, a restart could take the last one")
    yield from comment(
        "approval: {timeout: 15m}     ← asks people before it acts, when nothing is to happen unseen", indent=2
    )


def _steps(draft: Draft) -> Iterator[str]:
    yield from comment(
        f"{draft.cure.why[0].upper()}{draft.cure.why[1:]}." if draft.plan.acts else "People decide.", indent=2
    )
    yield "  steps:"
    if draft.plan.acts:
        verb, why, timeout = STEPS[draft.plan.remedy]
        yield beside(f"  - {verb}", why)
        yield beside(f"    timeout: {timeout}", "← as long as it may take until it runs again")
        if draft.plan.remedy is Remedy.CORDON:
            yield beside("  # - drain: {}", "← also evicts what runs there; only if it may go")
            yield "  #   timeout: 15m"
        yield from _notify(messages.done(draft.subject, draft.plan.remedy), receiver=draft.receiver, why=_whose(draft))
        return
    yield from _notify(messages.told(draft.subject), receiver=draft.receiver, why=_whose(draft))
    yield beside("  - analyze:", "what may be behind it: advice that is told, and never carried out")
    yield f"      receiver: {quoted(draft.receiver)}"


def _whose(draft: Draft) -> str:
    """Where the receiver comes from."""
    others = ", ".join(draft.around.receivers[1:5])
    if not draft.around.receivers:
        return "← a receiver of amend.yml"
    return f"the first receiver of {draft.around.config}" + (f"; there are {others}, too" if others else "")


def _notify(message: str, *, receiver: str, why: str) -> Iterator[str]:
    yield "  - notify:"
    yield beside(f"      receiver: {quoted(receiver)}", why)
    yield f"      message: {quoted(message)}"


def _verify(draft: Draft) -> Iterator[str]:
    plan = draft.plan
    within = format_duration(plan.resolved_within) if plan.resolved_within else ""
    if not plan.acts:
        if within:
            yield from comment(
                "No verify: nothing is done that could help, and the next alert would wait for its end. To have people "
                "told again by on_failure when it still fires:",
                indent=2,
            )
            yield f"  # verify: {{resolved_within: {within}, absent_for: 2m}}"
        return
    if not plan.verified:
        yield from comment(
            "← No verify: amend.yml has no prometheus, which could be asked whether it helped.", indent=2
        )
        return
    yield "  verify:"
    if plan.resolved_within:
        yield from comment(_patience(draft), indent=4)
        yield f"    resolved_within: {within}"
        yield beside("    absent_for: 2m", "and stay false so long")
    else:
        yield from comment(
            "← With prometheus: {url: …} in amend.yml, the alert's own expression can be asked:", indent=4
        )
        yield "    # resolved_within: 15m"
    if plan.healthy:
        yield beside("    healthy: true", "and it must be well by its platform's own word")
    elif plan.remedy is Remedy.DELETE_POD:
        yield from comment(
            "← An evicted pod's series end, which shows nothing: the outcome is `unknown`, and people are told. A "
            'query about its owner\'s pods knows more, such as query: sum(kube_pod_status_ready{condition="true"}) > 2',
            indent=4,
        )


def _patience(draft: Draft) -> str:
    subject = draft.subject
    slowest = max(subject.rules, key=lambda rule: rule.held + rule.interval)
    parts = [f"`for` ({format_duration(slowest.held)})"] if slowest.held else []
    parts.append(f"interval ({format_duration(slowest.interval)})")
    told = f"The alert's own expression must be false by then: longer than the rule's {' and '.join(parts)}"
    if subject.looks_back:
        told += f", and than the {format_duration(subject.looks_back)} that it looks back"
    return f"{told}."


def _on_failure(draft: Draft) -> Iterator[str]:
    another = draft.other_receiver != draft.receiver
    why = _whose(draft) if another else "← better another one: who is called when this is not enough?"
    when = (
        "the last attempt failed, did not help, or nobody knows" if draft.plan.acts else "telling or analyzing failed"
    )
    yield beside("  on_failure:", f"when {when}")
    yield from _notify(messages.failed(draft.plan.remedy), receiver=draft.other_receiver, why=why)


def safe(place: str) -> str:
    """A Prometheus' address may hold a password, which no file needs."""
    return re.sub(r"//[^/@\s]*@", "//", place)
