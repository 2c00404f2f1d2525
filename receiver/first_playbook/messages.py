"""What people are told by a first playbook: by its steps, and when they did not help.

The playbook holds the templates, and its test knows how they begin.
"""

from typing import Final

from receiver.conventions import RUNBOOK_URL, SUMMARY
from receiver.first_playbook.cure import Remedy
from receiver.first_playbook.subject import Subject

DONE: Final = {
    Remedy.RESTART: ("Restarted {{ target.name }} for {{ labels.alertname }}", "restarting"),
    Remedy.DELETE_POD: ("Evicted {{ target.name }} for {{ labels.alertname }}", "evicting"),
    Remedy.SCALE: ("Gave {{ target.name }} a replica more for {{ labels.alertname }}", "scaling"),
    Remedy.CORDON: ("Cordoned {{ target.name }} for {{ labels.alertname }}", "cordoning"),
}


def begins(remedy: Remedy, name: str) -> str:
    """The beginning of what is told when something was done to a workload of this name."""
    return DONE[remedy][0].partition(" for ")[0].replace("{{ target.name }}", name)


def done(subject: Subject, remedy: Remedy) -> str:
    message = DONE[remedy][0]
    if {"value", "mean"} <= {*subject.numbers}:
        message += ": it was {{ value }}, usually {{ mean }}"
    elif "value" in subject.numbers:
        message += ": it was {{ value }}"
    return message + ("; somebody has to look at it, and uncordon it." if remedy is Remedy.CORDON else ".")


def told(subject: Subject) -> str:
    """A label that an alert happens to lack must not keep people from being told."""
    which = ", ".join(f"{label} {{{{ labels.{label} | default('-') }}}}" for label in subject.from_series[:4])
    message = "{{ labels.alertname }}" + (f" ({which})" if which else "")
    if subject.annotates(SUMMARY):
        message += ": {{ annotations.summary }}"
    if "value" in subject.numbers:
        message += ". It is {{ value }}" + (", usually {{ mean }}" if "mean" in subject.numbers else "")
    return message + (". {{ annotations.runbook_url }}" if subject.annotates(RUNBOOK_URL) else ".")


def failed(remedy: Remedy) -> str:
    """For `on_failure`."""
    if remedy is Remedy.ANALYZE:
        what = "{{ playbook.name }} ended as {{ run.outcome }}"
    else:
        what = f"{DONE[remedy][1]} {{{{ target.name }}}} did not help ({{{{ run.outcome }}}})"
    return f"{{{{ labels.alertname }}}}: {what}. Somebody has to look. {{{{ run.link }}}}"
