"""Who buys: `GET /users/{id}`.

Asked by orders before it takes money.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.service import application, serve, work

NAMES = ("Ada", "Barbara", "Edsger", "Grace", "Leslie")


async def user(request: Request) -> Response:
    await work(0.06)
    number: int = request.path_params["id"]
    return JSONResponse({"id": number, "name": NAMES[number % len(NAMES)]})


app = application([Route("/users/{id:int}", user)])

if __name__ == "__main__":
    serve(app)
