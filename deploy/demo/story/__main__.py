"""`python -m story`: shows the loop once; 0 when it closed, 1 when a link did not, 2 for a wrong command line.

`scripts/demo` runs it with the programs that it found.
"""

import argparse
import sys
import time
from functools import partial

import httpx

from story import engines
from story.endings import heed_endings
from story.links import Link, Loop
from story.narrator import Narrator
from story.part import GLANCE, Broken
from story.scenario import SCENARIOS, Scenario
from story.stage import EngineIn, Stage, stage


def main() -> int:
    given = _arguments()
    scenario = SCENARIOS[given.scenario]
    engine_in: EngineIn = partial(engines.containers, base=given.base_image) if given.docker else engines.processes
    narrator = Narrator()
    heed_endings()
    narrator.heading(f"Amend demo: {scenario.name} → {scenario.remedy}")
    closed = False
    try:
        with stage(engine_in, places=scenario.places, narrator=narrator) as on_stage:
            _tell(on_stage, scenario, narrator=narrator)
            closed = True
            if given.keep:
                _keep(on_stage, narrator=narrator)
    except Broken as broken:
        narrator.tell("broken", str(broken), style="bold red")
        return 1
    except KeyboardInterrupt:
        narrator.tell("stopped", "everything that was started is gone", style="bold")
        return 0 if closed else 130
    return 0


def _tell(on_stage: Stage, scenario: Scenario, *, narrator: Narrator) -> None:
    loop = Loop(on_stage, scenario)
    ready = Link("ready", "a quiet shop and a band for it", loop.ready)
    narrator.tell(ready.name, _close(ready, on_stage))
    narrator.begin()
    loop.strike()
    narrator.tell("fault", scenario.says, style="bold red")
    for link in loop.links():
        narrator.tell(link.name, _close(link, on_stage), style="bold green" if link.name == "verified" else "")
    narrator.tell("closed", f"the loop closed in {narrator.elapsed:.0f} s", style="bold green")


def _close(link: Link, on_stage: Stage) -> str:
    """What was seen of the link; Broken when that did not happen in time."""
    deadline = time.monotonic() + link.within
    while True:
        on_stage.check()
        try:
            text = link.seen()
        except httpx.HTTPError as error:
            raise Broken(f'"{link.name}" cannot be observed: {error}') from error
        if text is not None:
            return text
        if time.monotonic() > deadline:
            raise Broken(f'"{link.name}" did not close: waited {link.within} s for {link.what}')
        time.sleep(GLANCE)


def _keep(on_stage: Stage, *, narrator: Narrator) -> None:
    narrator.tell("kept", f"{on_stage.place.page}   API key {on_stage.place.key('demo')}", style="bold")
    narrator.tell("kept", "all of it runs until Ctrl-C", style="bold")
    while True:
        on_stage.check()
        time.sleep(GLANCE)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Breaks a small shop and shows how Amend notices, mends and verifies it."
    )
    parser.add_argument("--scenario", choices=SCENARIOS, default="latency", help="what goes wrong (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--docker", action="store_true", help="run the shop in containers of a real Docker Engine")
    parser.add_argument("--base-image", metavar="IMAGE", help="with --docker: an image with python ≥ 3.11 to build on")
    given = parser.parse_args()
    if given.base_image and not given.docker:
        parser.error("--base-image goes with --docker")
    return given


if __name__ == "__main__":
    sys.exit(main())
