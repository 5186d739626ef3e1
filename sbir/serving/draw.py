"""The web server of the drawing page, on this machine's loopback alone; needs the extra `sbir[draw]`."""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sbir.serving.drawing import read_drawing
from sbir.serving.pad import Pad

HOST = "127.0.0.1"
BODY = 1 << 20  # bytes of a request, at most
ASSETS = {"/draw.js": "text/javascript", "/draw.css": "text/css"}
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(pad: Pad) -> Starlette:
    """The page, its search and its photos, for the page itself and no other site.

    A request whose Host is not the loopback is refused (DNS rebinding), and a search from another origin, too.
    """

    async def search(request: Request) -> Response:
        return await _search(pad, request)

    async def photo(request: Request) -> Response:
        found = await run_in_threadpool(pad.photo, request.path_params["item_id"])
        return PlainTextResponse("not found", 404) if found is None else Response(found, media_type="image/jpeg")

    routes = [
        Route("/", _constant(HTMLResponse(pad.page()))),
        *(Route(path, _constant(_asset(path))) for path in ASSETS),
        Route("/photo/{item_id:path}", photo),
        Route("/search", search, methods=["POST"]),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    return Starlette(routes=routes, middleware=[Middleware(_WithHeaders), hosts])


def _constant(response: Response) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        return response

    return endpoint


def _asset(path: str) -> Response:
    return Response(Path(__file__).with_name(path.removeprefix("/")).read_bytes(), media_type=ASSETS[path])


async def _search(pad: Pad, request: Request) -> Response:
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers['host']}":
        return _refusal(403, "a search must come from the page itself")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return _refusal(415, "a search must be application/json")  # which no other site may send unasked
    body = await _read(request)
    if body is None:
        return _refusal(413, f"a search must have at most {BODY} bytes; clear the pad")
    try:
        drawing = read_drawing(body)
    except ValueError as error:
        return _refusal(400, str(error))
    return JSONResponse(await run_in_threadpool(pad.search, drawing))


def _refusal(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status)


async def _read(request: Request) -> bytes | None:
    """The body; None as soon as it is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY:
            return None
    return body


class _WithHeaders:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *added]  # the list may be a response's own, used again
            await send(message)

        await self._app(scope, receive, sending)


def listen(port: int) -> socket.socket:
    """A socket on the loopback; port 0 takes a free one. Raises `OSError` where the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()  # from here on a browser is answered, if a moment later
    except (OSError, OverflowError) as error:
        listening.close()
        raise OSError(f"the port must be free, {port} is not ({error}); take another --port, or leave it out") from None
    return listening


def make_server(pad: Pad) -> uvicorn.Server:
    """A server to `run(sockets=[...])`; it answers until it is told to exit."""
    return uvicorn.Server(uvicorn.Config(make_app(pad), log_level="warning", lifespan="off"))
