"""`amend playbooks trigger`: an alert that a person makes up, tried by a running receiver, or answered."""

from typing import Annotated, Any

import typer

from receiver.commands.options import URL, Format, KeyFile, Output, Url, examples, pair
from receiver.commands.terminal import inline, say, say_json

EXAMPLES = examples(
    "amend playbooks trigger alertname=HttpLatencyAnomaly severity=high job=orders -a z_score=5",
    "amend playbooks trigger alertname=HttpLatencyAnomaly job=orders --enforce",
    "amend playbooks trigger alertname=HttpLatencyAnomaly job=orders --enforce --resolved",
)


def trigger(
    labels: Annotated[list[str], typer.Argument(metavar="LABEL=VALUE…", help="The alert's labels.")],
    annotation: Annotated[
        list[str],
        typer.Option("--annotation", "-a", metavar="NAME=VALUE", help="What the rule would tell; repeatable."),
    ] = [],  # noqa: B006 - typer reads it and never changes it
    *,
    enforce: Annotated[bool, typer.Option("--enforce", help="Have it answered, as any other alert.")] = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="The alert ends.")] = False,
    url: Url = URL,
    key_file: KeyFile = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Tell a running receiver of an alert that you make up: what would it do? With --enforce it does it."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        answer = receiver.post(
            "trigger",
            labels=_pairs(labels),
            annotations=_pairs(annotation, "z_score=5"),
            status="resolved" if resolved else "firing",
            enforce=enforce,
        )
    if output is Format.JSON:
        say_json(answer)
    elif enforce:
        say(f'stored as delivery {answer["delivery"]}; "amend explain {" ".join(labels)}" tells what comes of it')
    else:
        if not answer["playbooks"]:
            say("no playbook answers such an alert")
        for trial in answer["playbooks"]:
            _say_trial(trial)
        for missed in answer.get("missed", ()):  # a receiver of an older version has none
            say(f"{missed['playbook']}: does not fit ({missed['why']})")


def _pairs(texts: list[str], example: str = "service=orders") -> dict[str, str]:
    return {name: value for name, _, value in (pair(text, example).partition("=") for text in texts)}


WOULD = {"act": "would act", "ask": "would ask people first", "observe": "would only observe", "skip": "would not act"}


def _say_trial(trial: dict[str, Any]) -> None:
    why = f"{trial['reason']}: {trial['detail']}" if trial["reason"] else trial["detail"]
    say(f"{trial['playbook']}: {WOULD[trial['would']]}{f' ({why})' if why else ''}")
    if trial["target"]:
        say(f"  on {trial['target']['key']}")
    for step in trial["steps"]:
        say(f"  {step['verb']} {inline(step['arguments'])}".rstrip())
    if trial["on_failure"]:
        say("  and would give up, which on_failure answers with")
    for step in trial["on_failure"]:
        say(f"  {step['verb']} {inline(step['arguments'])}".rstrip())
