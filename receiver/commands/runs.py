"""`amend runs …` and `amend explain`: what a running receiver did, and why it did not.

cli.py mounts them; they ask the JSON API and print its answer.
"""

from typing import Annotated, Any

import typer

from receiver.commands.options import URL, Comment, Format, KeyFile, Labels, Output, Url, examples, group, pair
from receiver.commands.terminal import complain, inline, moment, say, say_fields, say_json, say_table

app = group("What was done, what was decided against, and what waits for you.")

Run = Annotated[int, typer.Argument(metavar="RUN", min=1, help='The id that "amend runs list" shows.')]


@app.command(
    "list",
    epilog=examples(
        "amend runs list",
        "amend runs list --outcome not_fixed --label service=orders",
        "amend runs list --reason cooldown -o json",
    ),
)
def list_runs(
    *,
    status: Annotated[str | None, typer.Option(help="Only runs that stand here, such as done or skipped.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only runs that ended so, such as fixed or failed.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only runs that did not act for this reason.")] = None,
    playbook: Annotated[str | None, typer.Option(help="Only runs of this playbook.")] = None,
    workload: Annotated[str | None, typer.Option(help="Only runs on this workload.")] = None,
    label: Labels = [],  # noqa: B006 - typer reads it and never changes it
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 20,
    url: Url = URL,
    key_file: KeyFile = None,
    output: Output = Format.SIMPLE,
) -> None:
    """List runs, the newest first."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        runs = list(
            receiver.rows(
                "runs",
                limit=limit,
                status=status,
                outcome=outcome,
                reason=reason,
                playbook=playbook,
                workload=workload,
                label=[pair(text) for text in label],
            )
        )
    if output is Format.JSON:
        say_json({"runs": runs})
        return
    say_table(
        ("ID", "CREATED", "PLAYBOOK", "WORKLOAD", "STATUS", "OUTCOME", "REASON"),
        [
            (
                run["id"],
                moment(run["created_at"]),
                run["playbook"],
                run["workload"],
                run["status"],
                run["outcome"],
                run["reason"],
            )
            for run in runs
        ],
    )


@app.command(epilog=examples("amend runs show 7", "amend runs show 7 -o json"))
def show(
    run_id: Run,
    url: Url = URL,
    key_file: KeyFile = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Show one run: its alert, its steps, and what came of it."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        run = receiver.get(f"runs/{run_id}")
    if output is Format.JSON:
        say_json(run)
        return
    steps, asked = run.pop("steps", []), run.pop("approval", None)
    say_fields({name: moment(value) if name.endswith("_at") else value for name, value in run.items()})
    if asked:
        typer.echo()
        _say_question(asked)
    if steps:
        typer.echo()
        say_steps(steps)


@app.command(epilog=examples("amend runs approve 7", 'amend runs approve 7 --yes --comment "traffic is low"'))
def approve(
    run_id: Run,
    comment: Comment = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask once more.")] = False,
    url: Url = URL,
    key_file: KeyFile = None,
) -> None:
    """Agree to what a run that waits for an approval would do; it shows that first."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        asked = receiver.get(f"runs/{run_id}")["approval"]
        if asked:
            _say_question(asked)
        if asked and not asked["decision"] and not (yes or _agrees()):
            complain(
                f'nothing was answered; run {run_id} waits until {moment(asked["expires_at"])} ("amend runs reject '
                f'{run_id}" says no; --yes agrees without this question)'
            )
            raise typer.Exit(1)
        # the digest of nothing, where nothing was asked a moment ago: it is refused, or says why
        receiver.post(f"runs/{run_id}/approve", comment=comment, digest=asked["digest"] if asked else "nothing")
        paused = receiver.get("status")["paused"]
    say(f"approved run {run_id}{_but(paused)}")


@app.command(epilog=examples('amend runs reject 7 --comment "a deployment is under way"'))
def reject(run_id: Run, comment: Comment = "", url: Url = URL, key_file: KeyFile = None) -> None:
    """Say no to what a run that waits for an approval would do."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        receiver.post(f"runs/{run_id}/reject", comment=comment)
    say(f"rejected run {run_id}")


@app.command(epilog=examples('amend runs cancel 7 --comment "done by hand"'))
def cancel(run_id: Run, comment: Comment = "", url: Url = URL, key_file: KeyFile = None) -> None:
    """Stop a run that has not begun to act; it is not decided again while the alert lasts."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        receiver.post(f"runs/{run_id}/cancel", comment=comment)
    say(f"cancelled run {run_id}")


def pause(comment: Comment = "", url: Url = URL, key_file: KeyFile = None) -> None:
    """Have no action start on any replica until somebody resumes: the kill switch."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        changed = receiver.post("pause", comment=comment)["changed"]
        standing = receiver.get("status")["paused"]
    if changed or not standing:
        say("paused: no action starts until somebody resumes")
    else:
        why = f": {standing['why']}" if standing["why"] else ""
        say(f"already paused by {standing['by']} since {moment(standing['since'])}{why}; your comment was not kept")


def resume(comment: Comment = "", url: Url = URL, key_file: KeyFile = None) -> None:
    """Let actions start again, after a pause or an open breaker; failures before now are forgiven."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        changed = receiver.post("resume", comment=comment)["changed"]
    say("resumed" if changed else "nothing was held still; failures before now are forgiven")


def explain(
    what: Annotated[list[str], typer.Argument(metavar="RUN|LABEL=VALUE…", help="A run's id, or labels of an alert.")],
    url: Url = URL,
    key_file: KeyFile = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Tell why Amend did or did not act."""
    from receiver.client import Receiver

    run = what[0] if len(what) == 1 and what[0].isdigit() else None
    with Receiver(url, key_file) as receiver:
        answer = receiver.get("explain", run=run, label=None if run else [pair(text) for text in what])
    if output is Format.JSON:
        say_json(answer)
        return
    for sentence in reversed(answer["explanations"]):  # as it happened, the oldest first
        say(f"{moment(sentence['at'])}  {sentence['text']}")


def _agrees() -> bool:
    try:
        return typer.confirm("Do this?")
    except typer.Abort:  # nobody is there to ask
        return False


def _but(paused: dict[str, Any] | None) -> str:
    if not paused:
        return ""
    return f"; everything is paused by {paused['by']}, so it acts when somebody resumes, or is asked again"


def _say_question(asked: dict[str, Any]) -> None:
    """What people are asked to allow, and what they said."""
    target = asked["target"]
    say_fields(
        {
            "would do": "; ".join(_step(step) for step in asked["steps"]),
            "on": target and target["key"],
            "if it does not help": "; ".join(_step(step) for step in asked["on_failure"]),
            "asked are": ", ".join(asked["approvers"]) or "all approvers",
            "until": moment(asked["expires_at"]),
            "said": _said(asked),
            "comment": asked["comment"],
        }
    )


def _said(asked: dict[str, Any]) -> str:
    if asked["decision"] in ("approved", "rejected"):
        return f"{asked['decision']} by {asked['decided_by']}"
    return {"expired": "nothing in time", "withdrawn": "nothing: it was withdrawn"}.get(asked["decision"], "")


def _step(step: dict[str, Any]) -> str:
    return f"{step['verb']} {inline(step['arguments'])}" if step.get("arguments") else str(step["verb"])


def say_steps(steps: list[dict[str, Any]]) -> None:
    say_table(
        ("STEP", "STATUS", "STARTED", "FINISHED", "ARGUMENTS", "RESULT"),
        [
            (
                step["verb"],
                step["status"],
                moment(step["started_at"]),
                moment(step["finished_at"]),
                inline(step["arguments"]),
                step["error"] or inline(step["result"]),
            )
            for step in steps
        ],
    )
