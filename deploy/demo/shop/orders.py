"""The shop's front: `POST /orders` asks users who buys, then payments for the money.

Asked by the load; a neighbour that is down or broken makes it answer 502.
"""

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.addresses import url
from shop.service import application, serve, work

neighbours = httpx.AsyncClient(timeout=5, trust_env=False)


async def order(request: Request) -> Response:
    wanted = await request.json()
    await work(0.15)
    try:
        user = await neighbours.get(f"{url('users')}/users/{wanted['user']}")
        user.raise_for_status()
        paid = await neighbours.post(f"{url('payments')}/payments", json={"cents": wanted["cents"]})
        paid.raise_for_status()
    except httpx.HTTPError as error:
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=502)
    return JSONResponse({"for": user.json()["name"], **paid.json()}, status_code=201)


app = application([Route("/orders", order, methods=["POST"])])

if __name__ == "__main__":
    serve(app)
