"""`silence: {for: 1h}`: Alertmanager tells nobody of this alert for a while, by a silence that names the run.

While it is silenced, playbooks leave the alert alone as well, as they do with every silence.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.durations import Duration, at_most
from receiver.errors import Permanent
from receiver.matchers import Matcher

LONGEST = timedelta(days=7)


class Arguments(Part):
    EXAMPLE = "{for: 1h}"

    span: Annotated[Duration, at_most(LONGEST)] = Field(alias="for", examples=["1h"])
    by: tuple[str, ...] = ()  #: the labels that count; all of them where nothing is said


class Silence(Verb):
    arguments = Arguments
    intervenes = False

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        if scene.alertmanager is None:
            raise Permanent("no Alertmanager is configured; add alertmanager: {url: …} to amend.yml")
        names = arguments.by or tuple(sorted(scene.episode.labels))
        if missing := [name for name in names if not scene.episode.labels.get(name)]:
            raise Permanent(f"the alert has no label {', '.join(missing)} to silence it by")
        if known := await scene.alertmanager.silence(scene.episode.labels):
            return {"silence": known.id, "until": known.ends_at.isoformat(), "by": known.by}
        until = scene.now + arguments.span
        matchers = [Matcher.of(name, "=", scene.episode.labels[name]) for name in names]
        about = f"run {scene.run_id} of {scene.playbook}"
        made = await scene.alertmanager.put_silence(matchers, since=scene.now, until=until, comment=about)
        return {"silence": made, "until": until.isoformat()}
