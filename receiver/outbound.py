"""Every request that a playbook or a notification sends out goes through here: bounded, without redirects.

A playbook reaches only the hosts that amend.yml allows, nothing reaches a link-local address, and an error says
whether anything was sent.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from receiver.errors import Permanent, Temporary, Uncertain

LARGEST_ANSWER = 64 * 1024  #: bytes that are read of an answer
LONGEST_QUOTE = 120  #: characters of an answer that stand in an error


class Outbound:
    """An HTTP client that goes where it may."""

    def __init__(self, allow_hosts: Collection[str], *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._allowed = frozenset(host.lower() for host in allow_hosts)
        # as many connections as there are runs: those to a host that hangs must leave some to the others
        limits = httpx.Limits(max_connections=None)
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, limits=limits, transport=transport)

    async def send_allowed(self, method: str, url: str, *, within: float, **kwargs: Any) -> tuple[int, str]:
        """As `send`, to a host on the allow-list only: for URLs that a playbook holds."""
        host, _ = _address(url)
        if host.lower() not in self._allowed:
            raise Permanent(f'the host "{host}" is not allowed; add it to outbound.allow_hosts in amend.yml')
        return await self.send(method, url, within=within, **kwargs)

    async def send(
        self,
        method: str,
        url: str,
        *,
        within: float,
        json: Any = None,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> tuple[int, str]:
        """Status and beginning of the answer. Temporary: nothing was sent; Uncertain: sent, and no answer."""
        host, port = _address(url)
        await refuse_link_local(host, port)
        timeout = httpx.Timeout(None, connect=min(within, 5.0))
        try:
            # one time-out for all of it: the client's own begins anew with every byte
            async with (
                asyncio.timeout(within),
                self._client.stream(
                    method, url, json=json, content=content, headers=headers, timeout=timeout
                ) as response,
            ):
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > largest:
                        break
                return response.status_code, body[:largest].decode(errors="replace")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Temporary(f"cannot reach {host}: {str(error) or type(error).__name__}") from error
        except httpx.LocalProtocolError:
            # its words quote the header, which may hold a token
            raise Permanent("not a request that can be sent: a header is none, by its name or its value") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError) as error:
            raise Permanent(f"not a request that can be sent: {error}") from error
        except TimeoutError as error:
            raise Uncertain(f"sent to {host}, and no answer within {within:g}s") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Uncertain(f"sent to {host}, and no answer: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.aclose()


def brief(answer: str) -> str:
    """The beginning of an answer on one line, as it may stand in an error."""
    line = " ".join(answer.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 1]}…"


def _address(url: str) -> tuple[str, int]:
    """Host and port; Permanent, without the URL, which may hold a token."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Permanent(f"not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise Permanent("not an http(s) URL")
    return host, port or (443 if parts.scheme == "https" else 80)


async def refuse_link_local(host: str, port: int) -> None:
    """Metadata services of clouds live at link-local addresses and hand out credentials."""
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), timeout=5)
    except (OSError, TimeoutError, UnicodeError) as error:
        raise Temporary(f"cannot look up {host}: {str(error) or 'no answer'}") from error
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if (getattr(ip, "ipv4_mapped", None) or ip).is_link_local:
            raise Permanent(f"{host} is a link-local address, which nothing is sent to")
