"""What Prometheus says just before acting."""

from receiver.case import LATER, Case, World
from receiver.evidence import holds, watched
from receiver.run import Reason


class OnlyIf:
    """PromQL asked just before acting; no data is no."""

    name = "only_if"

    async def check(self, case: Case, world: World) -> None:
        expr = case.playbook.only_if
        if expr is None:
            return
        if world.prometheus is None:
            raise case.refuse(Reason.GUARD_ERROR, "only_if needs a Prometheus in amend.yml", retry_in=LATER)
        if holds(await world.prometheus.query(expr), expr):
            return
        for each in watched(expr):
            if not any(sample.usable for sample in await world.prometheus.query(each)):
                raise case.refuse(Reason.NO_DATA, f"only_if has no data: {each}", retry_in=LATER)
        raise case.refuse(Reason.CONDITION_FALSE, f"only_if is false: {expr.strip()}", retry_in=LATER)
