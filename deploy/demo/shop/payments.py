"""Who pays: `POST /payments`.

Asked by orders once it knows the user.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.service import application, serve, work


async def pay(request: Request) -> Response:
    bill = await request.json()
    await work(0.12)
    return JSONResponse({"paid": bill["cents"]}, status_code=201)


app = application([Route("/payments", pay, methods=["POST"])])

if __name__ == "__main__":
    serve(app)
