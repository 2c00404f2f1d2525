"""`amend runs …` and `amend explain`: what a running receiver did, and why it did not.

cli.py mounts them; they ask the JSON API and print its answer.
"""

from typing import Annotated, Any

import typer

from receiver.commands.options import URL, Format, KeyFile, Labels, Output, Url, examples, group
from receiver.commands.terminal import inline, moment, say, say_fields, say_json, say_table

app = group("What was done, and what was decided against.")


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
    run_id: Annotated[int, typer.Argument(metavar="RUN", min=1, help='The id that "amend runs list" shows.')],
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
    steps = run.pop("steps", [])
    say_fields({name: moment(value) if name.endswith("_at") else value for name, value in run.items()})
    if steps:
        typer.echo()
        say_steps(steps)


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


def pair(text: str) -> str:
    """`service=orders` as it is; a usage error if it is no pair."""
    name, equals, _ = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f'"{text}" is not LABEL=VALUE; write for example service=orders')
    return text
