"""`http: {url, method, body, expect}`: one request to a host that amend.yml allows, without redirects."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer

from receiver.actions.scene import Scene
from receiver.actions.verb import Verb
from receiver.documents import Part
from receiver.errors import Permanent
from receiver.outbound import brief
from receiver.template import Template, UrlTemplate


def _fixed_host(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found or scheme not in {"http", "https"} or "{" in rest.partition("/")[0]:
        raise ValueError(f'"{url}" must begin with http:// or https:// and a host that is no template')
    return url


def _lengths(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: f"({len(value)} characters)" for name, value in headers.items()}


class Arguments(Part):
    url: Annotated[UrlTemplate, AfterValidator(_fixed_host)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    body: dict[str, Template | int | float | bool | None] | Template | None = None
    # the ledger takes arguments as JSON, and whoever reads it may not know a token that stands in a header
    headers: Annotated[dict[str, Template], PlainSerializer(_lengths, when_used="json")] = Field(default={})
    expect: tuple[int, ...] = Field(default=(), description="statuses that count as done; any 2xx when empty")


class Http(Verb):
    arguments = Arguments
    intervenes = False

    async def __call__(self, arguments: Arguments, scene: Scene) -> Mapping[str, Any]:
        body: dict[str, Any] = {}
        if isinstance(arguments.body, str):
            body["content"] = arguments.body
        elif arguments.body is not None:
            body["json"] = arguments.body
        status, text = await scene.outbound.send_allowed(
            arguments.method,
            arguments.url,
            within=scene.within.total_seconds(),
            headers=arguments.headers,
            **body,
        )
        done = status in arguments.expect if arguments.expect else 200 <= status < 300
        if not done:
            raise Permanent(f"answered {status}: {brief(text)}")
        return {"status": status, "answer": text[:500]}
