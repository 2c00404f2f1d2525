"""Runs, episodes and playbooks as the JSON that the API gives; an instant is ISO 8601 in UTC, a duration `5m`."""

from datetime import datetime
from typing import Any

from receiver.approval import Approval
from receiver.durations import format_duration
from receiver.playbook import Playbook
from receiver.run import Episode, Run, Step
from receiver.target import Target


def run_json(run: Run, episode: Episode | None) -> dict[str, Any]:
    return {
        "id": run.id,
        "episode": run.episode_id,
        "playbook": run.playbook,
        "attempt": run.attempt,
        "mode": run.mode,
        "status": run.status,
        "outcome": run.outcome,
        "reason": run.reason,
        "detail": run.detail,
        "workload": run.workload,
        "labels": dict(episode.labels) if episode else {},
        "created_at": _moment(run.created_at),
        "updated_at": _moment(run.updated_at),
        "acted_at": _moment(run.acted_at),
        "finished_at": _moment(run.finished_at),
        "wake_at": _moment(run.wake_at),
        "guards": run.state.get("guards", []),
        "target": run.state.get("target"),
        "evidence": run.state.get("watch"),
        "steps": [_step_json(step) for step in run.steps],
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "phase": step.phase,
        "position": step.position,
        "verb": step.verb,
        "status": step.status,
        "arguments": dict(step.arguments),
        "started_at": _moment(step.started_at),
        "finished_at": _moment(step.finished_at),
        "result": dict(step.result),
        "error": step.error,
    }


def approval_json(approval: Approval) -> dict[str, Any]:
    return {
        "digest": approval.digest,
        **approval.shown,
        "approvers": list(approval.approvers),
        "asked_at": _moment(approval.asked_at),
        "expires_at": _moment(approval.expires_at),
        "decision": approval.decision,
        "decided_at": _moment(approval.decided_at),
        "decided_by": approval.decided_by,
        "comment": approval.comment,
        "used_at": _moment(approval.used_at),
    }


def episode_json(episode: Episode) -> dict[str, Any]:
    return {
        "id": episode.id,
        "open": episode.open,
        "alertname": episode.alertname,
        "labels": dict(episode.labels),
        "annotations": dict(episode.annotations),
        "source": episode.source,
        "alert_key": episode.alert_key,
        "fingerprint": episode.fingerprint,
        "starts_at": _moment(episode.starts_at),
        "last_starts_at": _moment(episode.last_starts_at),
        "opened_at": _moment(episode.opened_at),
        "last_seen_at": _moment(episode.last_seen_at),
        "ends_at": _moment(episode.ends_at),
        "closed_at": _moment(episode.closed_at),
        "closing": episode.closing,
    }


def playbook_json(playbook: Playbook) -> dict[str, Any]:
    target = playbook.target
    return {
        "name": playbook.name,
        "description": playbook.description,
        "place": playbook.place,
        "enabled": playbook.enabled,
        "mode": playbook.mode,
        "on": playbook.on,
        "matchers": [str(matcher) for matcher in playbook.matchers],
        "condition": playbook.condition.text if playbook.condition else None,
        "target": target.model_dump(exclude_none=True) if isinstance(target, Target) else target,
        "cooldown": format_duration(playbook.cooldown),
        "max_attempts": {
            "count": playbook.max_attempts.count,
            "within": format_duration(playbook.max_attempts.within),
        },
        "max_age": format_duration(playbook.max_age),
        "active_time_intervals": list(playbook.active_time_intervals),
        "mute_time_intervals": list(playbook.mute_time_intervals),
        "approval": playbook.approval.required if playbook.approval else None,
        "steps": [step.verb for step in playbook.steps],
        "verified": playbook.verify is not None,
        "on_failure": [step.verb for step in playbook.on_failure],
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
