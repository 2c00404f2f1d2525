"""One conversation with a Docker Engine: host.py opens one per operation and speaks through it.

Every call ends before the conversation's deadline, and a failure says what is known: Temporary when nothing was sent,
Uncertain when a request went out and no answer came back, Permanent with the engine's own words when it said no.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self, TypeVar

from docker.api.client import APIClient
from docker.errors import APIError, DockerException, NotFound, create_api_error_from_http_exception
from requests.exceptions import HTTPError, RequestException

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.targets.connection import first_cause, never_sent
from receiver.targets.docker.container import Container
from receiver.targets.docker.image import Image
from receiver.targets.docker.service import Service
from receiver.targets.threads import Threads

Result = TypeVar("Result")

ANSWER = 10.0  #: seconds in which an engine says what it knows; a stop with its grace time may take longer

NO_MANAGER = "not a swarm manager"  #: an engine's word on services that it does not keep, with status 503
OUTDATED = "update out of sequence"  #: and on a version that is not the newest, with status 500


class Engine:
    """An APIClient of its own: it is not made for several threads, and engines get upgraded meanwhile."""

    def __init__(self, api: APIClient, threads: Threads, ends_at: float) -> None:
        self._api = api
        self._threads = threads
        self._ends_at = ends_at

    @classmethod
    async def connect(cls, url: str, threads: Threads, *, within: timedelta) -> Self:
        """Agree on the API's version, which is the first sign of life."""
        ends_at = asyncio.get_running_loop().time() + within.total_seconds()
        bound = min(ANSWER, within.total_seconds())

        def connect() -> APIClient:
            return APIClient(base_url=url, version="auto", timeout=bound)  # type: ignore[arg-type]  # seconds, a float

        api = await _answered(threads, connect, bound)
        api.trust_env = False  # a proxy from the environment has no business between us and the engine
        api.max_redirects = 0  # a redirected POST would turn into a GET, and an odd path into another one
        return cls(api, threads, ends_at)

    @property
    def remaining(self) -> float:
        return max(0.0, self._ends_at - asyncio.get_running_loop().time())

    @contextmanager
    def sparing(self, seconds: float) -> Iterator[None]:
        """Ends so much earlier for a while: the time is kept for what must follow in any case."""
        self._ends_at -= seconds
        try:
            yield
        finally:
            self._ends_at += seconds

    def close(self) -> None:
        self._api.close()

    async def containers(self, filters: Mapping[str, Sequence[str]]) -> list[Mapping[str, Any]]:
        """All that the filters let through, running or not."""
        return await self._read(lambda: self._api.containers(all=True, filters=dict(filters)))

    async def inspect(self, container: str) -> Container | None:
        """None when it is gone."""

        def look() -> Container | None:
            try:
                return Container(self._api.inspect_container(container))
            except NotFound:
                return None

        return await self._read(look)

    async def image(self, reference: str) -> Image | None:
        """None when this engine does not have it."""

        def look() -> Image | None:
            try:
                return Image(self._api.inspect_image(reference))  # type: ignore[no-untyped-call]
            except NotFound:
                return None

        return await self._read(look)

    async def restart(self, container: str, *, grace: int) -> None:
        await self._write("restart", lambda: self._api.restart(container, timeout=grace))

    async def create(self, config: Mapping[str, Any], name: str) -> str:
        def create() -> str:
            return str(self._api.create_container_from_config(dict(config), name)["Id"])  # type: ignore[no-untyped-call]

        return await self._write("create", create)

    async def join(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """`endpoint` as `docker inspect` shows it: names, fixed addresses, links and the driver's options."""
        address = endpoint.get("IPAMConfig") or {}
        links = [(link.partition(":")[0], link.partition(":")[2]) for link in endpoint.get("Links") or ()]
        await self._write(
            "connect",
            lambda: self._api.connect_container_to_network(
                container,
                network,
                ipv4_address=address.get("IPv4Address"),
                ipv6_address=address.get("IPv6Address"),
                aliases=list(endpoint.get("Aliases") or ()),
                links=links or None,
                link_local_ips=address.get("LinkLocalIPs"),
                driver_opt=endpoint.get("DriverOpts"),
            ),
        )

    async def start(self, container: str) -> None:
        await self._write("start", lambda: self._api.start(container))

    async def stop(self, container: str, *, grace: int) -> None:
        await self._write("stop", lambda: self._api.stop(container, timeout=grace))

    async def remove(self, container: str) -> None:
        """The container, never its volumes."""
        await self._write("remove", lambda: self._api.remove_container(container))

    async def rename(self, container: str, name: str) -> None:
        await self._write("rename", lambda: self._api.rename(container, name))

    async def services(self, name: str) -> list[Mapping[str, Any]] | None:
        """Those whose names begin like this one; None when this engine manages no Swarm."""

        def listed() -> list[Mapping[str, Any]] | None:
            try:
                found: list[Mapping[str, Any]] = self._api.services(filters={"name": name})  # type: ignore[no-untyped-call]
            except APIError as error:
                if NO_MANAGER in str(error.explanation):
                    return None
                raise
            return found

        return await self._read(listed)

    async def service(self, service: str) -> Service | None:
        """By its id, with its tasks; None when it is gone."""

        def look() -> Service | None:
            try:
                description = self._api.inspect_service(service)  # type: ignore[no-untyped-call]
                return Service(description, self._api.tasks(filters={"service": service}))  # type: ignore[no-untyped-call]
            except NotFound:
                return None

        return await self._read(look)

    async def update_service(self, service: Service, spec: Mapping[str, Any], **how: str) -> None:
        """As long as it still is as it was seen: Temporary, with nothing done, when somebody was faster."""
        url = f"{self._api.base_url}/v{self._api.api_version}/services/{service.id}/update"
        parameters = {"version": str(service.version), **how}

        def update() -> None:
            # docker-py's own call knows no `rollback`, and puts the specification together anew.
            try:
                self._api.post(url, params=parameters, json=spec, timeout=self._api.timeout).raise_for_status()
            except HTTPError as error:
                if OUTDATED in error.response.text:
                    raise Temporary(f"{self._threads.name}: {service.name} has just been changed") from error
                raise create_api_error_from_http_exception(error) from error

        await self._write("update", update)

    async def _read(self, call: Callable[[], Result]) -> Result:
        bound = min(ANSWER, self.remaining)
        self._api.timeout = bound  # type: ignore[assignment]  # the stubs say int; sockets take seconds as a float
        return await _answered(self._threads, call, bound)

    async def _write(self, verb: str, call: Callable[[], Result]) -> Result:
        bound = self.remaining
        if not bound:
            raise Temporary(f"{self._threads.name}: no time left to {verb}; nothing was sent")
        self._api.timeout = bound  # type: ignore[assignment]
        try:
            return await self._threads.call(call, within=bound)
        except TimeoutError:
            raise Uncertain(f"{self._threads.name}: {verb} was sent; no answer within {bound:.0f}s") from None
        except APIError as error:
            raise Permanent(f"{self._threads.name}: {_words(error)}") from error
        except (RequestException, DockerException) as error:
            if never_sent(error):
                raise Temporary(f"{self._threads.name}: {first_cause(error)}; nothing was sent") from error
            raise Uncertain(
                f"{self._threads.name}: {verb} was sent; the answer was lost: {first_cause(error)}"
            ) from error


async def _answered(threads: Threads, call: Callable[[], Result], bound: float) -> Result:
    """What a read came back with; nothing is ever lost by asking, so that silence is Temporary."""
    try:
        return await threads.call(call, within=bound)
    except TimeoutError:
        raise Temporary(f"{threads.name}: no answer within {bound:.0f}s") from None
    except APIError as error:
        if error.is_client_error():
            raise Permanent(f"{threads.name}: {_words(error)}") from error
        raise Temporary(f"{threads.name}: {_words(error)}") from error
    except (RequestException, DockerException) as error:
        raise Temporary(f"{threads.name}: {first_cause(error)}") from error


def _words(error: APIError) -> str:
    return f"the engine answered {error.status_code}: {error.explanation or error}"
