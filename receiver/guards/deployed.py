"""Whether the alert came upon a deployment, which is what a rollback undoes."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from receiver.case import LATER, Case, World
from receiver.conventions import SERVICE
from receiver.deployments import names, standing
from receiver.durations import format_duration
from receiver.run import Reason

AFTERWARDS = timedelta(minutes=5)  #: a deployment is told when it is done, and may have done harm before


class Deployed:
    """The last deployment of the target's service was that short a time before the alert began.

    One that came well after it is an attempt to mend what the alert is about: taking that back would do harm.
    """

    name = "deployed_within"

    async def check(self, case: Case, world: World) -> None:
        within = case.playbook.deployed_within
        if within is None:
            return
        # a label is for playbooks without a target alone: otherwise an alert could borrow another service's deployment
        services = names(case.workload) if case.workload else {case.episode.labels.get(SERVICE, "")}
        at = _last([marker.at for marker in standing(await world.deployments.of(services))])
        if case.platform and case.workload:
            at = _last([at, await case.platform.rolled_out_at(case.workload)])
        called = " or ".join(sorted(filter(None, services))) or "it"
        began = case.episode.starts_at
        if at is None:
            why = f"no deployment of {called} is known"
        elif at > began + AFTERWARDS:
            why = f"{called} was deployed again at {at:%Y-%m-%d %H:%M:%S} UTC, after the alert began"
        elif at < began - within:
            why = f"{called} was deployed last at {at:%Y-%m-%d %H:%M:%S} UTC, over {format_duration(within)} before"
        else:
            return
        # a marker may come a while after what it tells
        raise case.refuse(Reason.CONDITION_FALSE, why, retry_in=LATER if case.now < began + AFTERWARDS else None)


def _last(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment), default=None)
