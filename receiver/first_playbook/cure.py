"""What a first playbook does, by what the alert is about and by what it would act on.

The package's door asks `prescribe`. Where nothing is sure people are told, and the reason stands beside it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from receiver.actions import ACTIONS
from receiver.conventions import SUMMARY
from receiver.first_playbook.aim import Aim
from receiver.first_playbook.subject import Subject, in_words


class Remedy(StrEnum):
    """The first step of a playbook."""

    RESTART = "restart"  #: begin anew
    DELETE_POD = "delete_pod"  #: the same, for one pod
    SCALE = "scale"  #: one replica more
    CORDON = "cordon"  #: nothing new comes here
    ANALYZE = "analyze"  #: ask what is behind it, and tell people


@dataclass(frozen=True)
class Topic:
    """Something that alerts are about. The first topic of the list that fits is the one."""

    remedy: Remedy
    why: str
    words: str = ""  #: a regular expression, of whole words
    metrics: str = ""  #: another one, of how metrics begin


RESTART, SCALE, ANALYZE = Remedy.RESTART, Remedy.SCALE, Remedy.ANALYZE

TOPICS: Final = (
    Topic(ANALYZE, "Amend should not treat itself: what is ill decides badly", metrics=r"amend_"),
    Topic(
        ANALYZE,
        "while the monitoring itself is in trouble, nobody could see whether anything helped",
        metrics=r"prometheus_|alertmanager_|scrape_|ALERTS",
    ),
    Topic(
        ANALYZE,
        "what cannot be scraped may run all the same, and nobody could see whether anything helped",
        metrics="up$",
    ),
    Topic(
        ANALYZE,
        "no restart renews a certificate; people or cert-manager do",
        words=r"certificates?|x509|tls|cert",
        metrics=r"certmanager_|probe_ssl_|x509_",
    ),
    Topic(
        ANALYZE,
        "what cannot be created now is not created by doing it once more: an image or a configuration is missing",
        words=r"image ?pull|err ?image|cannot (?:be created|start)|create ?container ?config",
    ),
    Topic(ANALYZE, "a Job that failed may have done half of its work", metrics=r"kube_job_|kube_cronjob_"),
    Topic(
        ANALYZE,
        "Amend can neither make room nor mend a disk",
        words=r"disks?|volumes?|file ?systems?|inodes?|quota|storage|tablespace",
    ),
    Topic(
        ANALYZE,
        "what runs is not what was asked for; that wants a look, or a rollback",
        words=(
            r"rollouts?|generation|replicas missing|unavailable|pods? missing|lacks?|under ?replicated|leader|mismatch"
        ),
    ),
    Topic(
        ANALYZE,
        "an error budget burns for many reasons; one of the alerts about its service tells more",
        words=r"slo|error budget|budget",
    ),
    Topic(
        RESTART,
        "a container that crashes again and again sometimes only needs to begin anew",
        words=r"crash\w*|restarts|restarting|back ?off",
    ),
    Topic(
        RESTART,
        "what leaks is given back by a restart, until somebody mends the leak",
        words=r"leak\w*|oom\w*|out of memory|memory|heap|descriptors",
    ),
    Topic(
        ANALYZE,
        "less than usual has its cause before the workload more often than in it",
        words=r"drop|drops|dropped|fewer|missing|no traffic|absent",
    ),
    Topic(
        RESTART,
        "a slow workload is often quick again after a restart",
        words=r"latenc\w+|slow\w*|duration|response time",
    ),
    Topic(
        RESTART,
        "errors may end with a restart; they have other causes, too, which it only hides",
        words=r"errors?|5xx|fail\w*|exceptions?|panics?",
    ),
    Topic(
        SCALE,
        "more work than usual wants one replica more",
        words=(
            r"load|overload\w*|traffic|requests? rate|requests? (?:a|per) second|rps|qps|cpus?|throttl\w+|"
            r"backlog|lag|queues?|pending|at max|capacity|busy|utili[sz]ation|throughput"
        ),
    ),
    Topic(
        RESTART,
        "what is stuck or used up is often let go by a restart",
        words=(
            r"saturat\w+|stuck|hang\w*|hung|dead ?lock\w*|exhaust\w*|pools?|connections?|threads?|stalled|"
            r"unready|not ready"
        ),
    ),
)

BLIND: Final = 3  #: topics at the head of the list: of alerts that tell more of who watches than of who is watched

IN_WORDS: Final = {
    Remedy.RESTART: "restarted",
    Remedy.DELETE_POD: "evicted",
    Remedy.SCALE: "scaled",
    Remedy.CORDON: "cordoned",
}


@dataclass(frozen=True)
class Cure:
    """The remedy, why, and the one that would have been taken if it could act on the target."""

    remedy: Remedy
    why: str
    instead_of: Remedy | None = None  #: a hint for whoever finds a target for it


def prescribe(subject: Subject, aim: Aim | None) -> Cure:
    topic, because = _topic(subject)
    if aim and aim.kind == "Node" and topic not in TOPICS[:BLIND]:
        told = "it is about a node: no new pods come to one in trouble, and those that are there stay"
        return Cure(Remedy.CORDON, told)
    if topic is None:
        return Cure(ANALYZE, "nothing in its name, its summary or its metrics tells what would help")
    why = f"{because}: {topic.why}"
    if topic.remedy is ANALYZE:
        return Cure(ANALYZE, why)
    if aim is None:
        return Cure(ANALYZE, f"{why}; but there is nothing to act on", topic.remedy)
    remedy = Remedy.DELETE_POD if (topic.remedy, aim.kind) == (RESTART, "Pod") else topic.remedy
    if aim.kind not in ACTIONS[remedy].kinds:
        return Cure(ANALYZE, f"{why}; but a {aim.kind} cannot be {IN_WORDS[remedy]}", topic.remedy)
    return Cure(remedy, why)


def _topic(subject: Subject) -> tuple[Topic | None, str]:
    """The first that fits, and what of the alert says so."""
    for topic in TOPICS:
        for metric in sorted(subject.metrics):
            if topic.metrics and re.match(topic.metrics, metric):
                return topic, f"it comes of {metric}"
        for where, text in _texts(subject):
            if topic.words and (found := re.search(rf"\b(?:{topic.words})\b", text)):
                return topic, f'its {where} says "{found[0]}"'
    return None, ""


def _texts(subject: Subject) -> Iterator[tuple[str, str]]:
    """What is said of the alert, in lower-case words."""
    yield "name", in_words(subject.name)
    for rule in subject.rules:
        yield "summary", re.sub(r"\{\{.*?\}\}", " ", rule.annotations.get(SUMMARY, "")).lower()
    for metric in sorted(subject.metrics):
        yield f"metric {metric}", in_words(metric)
