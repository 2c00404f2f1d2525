"""What can go wrong in a service, as the state of its process: a restart mends it.

Only a bad version outlives a restart: its image carries `SHOP_FAULTS`, so that the process is born with the fault and
nothing but the previous image mends it.
"""

import asyncio
import json
import os
import random
from dataclasses import asdict, dataclass

MIB = 1024 * 1024


class BadFault(Exception):
    """The fault asked for does not exist or is not a number; the message says which do."""


@dataclass
class Faults:
    latency: float = 0.0  #: seconds added to every request
    errors: float = 0.0  #: share of the requests answered 500, from 0 to 1
    leak: float = 0.0  #: MiB per second kept for good

    @classmethod
    def of_this_version(cls) -> "Faults":
        faults = cls()
        faults.inject(os.environ.get("SHOP_FAULTS", "{}"))
        return faults

    def inject(self, text: str | bytes) -> None:
        """Sets the faults that the JSON object names and leaves the others as they are."""
        known = asdict(self)
        try:
            wanted = json.loads(text)
        except ValueError as error:
            raise BadFault(f"not JSON: {error}") from error
        if not isinstance(wanted, dict):
            raise BadFault(f'an object such as {{"latency": 0.5}} is wanted, not {wanted!r}')
        for name, amount in wanted.items():
            if name not in known:
                raise BadFault(f"unknown fault {name!r}; there are {', '.join(known)}")
            if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0:
                raise BadFault(f"{name}: a number from 0 is wanted, not {amount!r}")
        for name, amount in wanted.items():
            setattr(self, name, float(amount))

    async def delay(self) -> None:
        if self.latency:
            # Jitter, because a latency that never varies looks like no real one.
            await asyncio.sleep(self.latency * random.uniform(0.9, 1.1))

    def strikes(self) -> bool:
        return random.random() < self.errors

    async def run_leak(self) -> None:
        """Keeps `leak` MiB more each second, for as long as the process lives."""
        kept: list[bytearray] = []
        while True:
            await asyncio.sleep(0.1)
            # bytearray writes its zeros, so the pages count as resident memory at once.
            kept.append(bytearray(b"\1") * int(self.leak * MIB / 10))
