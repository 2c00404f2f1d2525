"""Every series of our own that `/metrics` shows, declared in one place and counted where things happen.

Labels come from closed sets (results, statuses, reasons, verbs) or from the playbooks' names; never from an alert.
"""

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES = Counter("amend_deliveries", "Webhook requests, by what became of them.", ["result"])
ALERTS = Counter("amend_alerts", "Alerts in stored deliveries.", ["status"])
TRUNCATED = Counter("amend_truncated_alerts", "Alerts that Alertmanager cut off by max_alerts: nobody answers them.")
RUNS = Counter("amend_runs", "Finished runs.", ["playbook", "outcome"])
SKIPS = Counter("amend_skips", "Decisions not to act.", ["playbook", "reason"])
ACTIONS = Counter("amend_actions", "Steps carried out.", ["action", "platform", "result"])
ACTION_SECONDS = Histogram(
    "amend_action_duration_seconds",
    "From the intent's commit to the step's result.",
    ["action"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 180, 600),
)
ALERT_TO_ACTION_SECONDS = Histogram(
    "amend_alert_to_action_seconds",
    "From the receipt of the alert to the first step's intent.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600),
)
IN_PROGRESS = Gauge("amend_remediation_in_progress", "Runs that are acting or verifying.", ["playbook", "target"])
APPROVALS_PENDING = Gauge("amend_approvals_pending", "Runs held until a person decides.")
LAST_DELIVERY = Gauge("amend_last_delivery_timestamp_seconds", "When the last delivery was stored.")
RELOAD_SUCCESSFUL = Gauge("amend_config_last_reload_successful", "1 if the newest configuration is in force.")
REPLICAS = Gauge("amend_replicas", "Receivers that share this store and gave a sign of life lately.")
REPLICAS_DIFFERING = Gauge("amend_replicas_differing", "Those of them that run on another configuration than this one.")
ANCHORED = Gauge("amend_audit_anchored_timestamp_seconds", "When the audit log's head was last kept elsewhere.")
WATCHDOG_SILENT = Gauge("amend_watchdog_silent", "1 while the alert that always fires has not come for too long.")
INSECURE = Gauge("amend_webhook_insecure", "1 if the webhook takes alerts from anybody.")
STORE_ERRORS = Counter("amend_store_errors", "Writes that the store refused.")
WORKER_ERRORS = Counter("amend_worker_errors", "Faults of our own while working on a run.")
PAUSED = Gauge("amend_paused", "1 while no action starts anywhere.")
BREAKER_OPEN = Gauge("amend_breaker_open", "1 while too many failures hold everything still.")
