"""The page's routes: its files, its token, and the socket that everything moves through. Imports starlette."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import resources
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from aand_edge.runtime.live_page.access import Access
from aand_edge.runtime.live_page.showing import Showing
from aand_edge.runtime.live_page.watcher import Watcher

MOST_WATCHERS = 16
NO_TOKEN, TOO_MANY = 4401, 4429  # close codes of our own, which page.js knows
WRONG_TOKEN_S = 0.5
LOOK_S = 1.0
LONGEST_FORM, FORM_S = 1024, 5.0
YEAR_S = 365 * 24 * 3600
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def application(showing: Showing, access: Access, cookie: str, also: Callable[[], object] = lambda: None) -> ASGIApp:
    """The whole page.

    cookie   the cookie's name: browsers keep one jar for all ports of a host
    also     called every `LOOK_S`
    """
    pages = Pages(showing, access, cookie)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(showing.run()), asyncio.create_task(_again_and_again(also))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    routes = [
        Route("/", pages.front),
        Route("/token", pages.login, methods=["POST"]),
        Route("/{name}", pages.file),
        WebSocketRoute("/live", pages.live),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), access)


class Pages:
    """What each route answers; arguments as of `application`."""

    def __init__(self, showing: Showing, access: Access, cookie: str) -> None:
        self._showing, self._access, self._cookie = showing, access, cookie
        static = resources.files(__package__).joinpath("static")
        self._files = {each.name: each.read_bytes() for each in static.iterdir()}

    async def front(self, request: Request) -> Response:
        """The page, or the form that asks for the token; a token in the address enters as one in the form does."""
        if "token" in request.query_params:
            return await self._entered(request.query_params["token"])
        if await self._is_open(request):
            return self._file(request, "page.html")
        return self._file(request, "login.html", 401)

    async def login(self, request: Request) -> Response:
        """POST of the form: a right token sets the cookie; either way the browser is sent back to the front page."""
        token = None
        with suppress(asyncio.TimeoutError):
            token = await asyncio.wait_for(_token_of(request), FORM_S)
        return await self._entered(token)

    async def file(self, request: Request) -> Response:
        """Style, script and icon: open to all."""
        name = request.path_params["name"]
        if name not in self._files or name.endswith(".html"):
            return PlainTextResponse("There is no such file.\n", 404)
        return self._file(request, name)

    async def live(self, socket: WebSocket) -> None:
        """The socket of one browser."""
        if not self._access.is_own_origin(socket.headers.get("origin"), socket.headers.get("host", "")):
            await socket.close()  # before it is accepted: 403
            return
        await socket.accept()
        if not await self._is_open(socket):
            await socket.close(NO_TOKEN)
        elif len(self._showing.watchers) >= MOST_WATCHERS:
            await socket.close(TOO_MANY)
        else:
            await Watcher(socket, self._showing).run()

    async def _is_open(self, request: Request | WebSocket) -> bool:
        """By the cookie alone; a wrong one waits as a wrong token does, since whoever guesses one has the other."""
        kept = request.cookies.get(self._cookie)
        right = self._access.opens(None, kept)
        if not right and kept is not None:
            await asyncio.sleep(WRONG_TOKEN_S)
        return right

    async def _entered(self, token: str | None) -> Response:
        if not self._access.opens(token, None):
            await asyncio.sleep(WRONG_TOKEN_S)
            return RedirectResponse("./#wrong", 303)
        answer = RedirectResponse("./", 303)  # the token leaves the address
        answer.set_cookie(self._cookie, self._access.cookie, max_age=YEAR_S, httponly=True, samesite="strict", path="/")
        return answer

    def _file(self, request: Request, name: str, status: int = 200) -> Response:
        content = self._files[name]
        mark = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if status == 200 and request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers={"ETag": mark})
        return Response(content, status, {"ETag": mark}, TYPES[name.rpartition(".")[2]])


class Guard:
    """Answers only to the page's own names, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] == "lifespan" or self._access.is_own_host(Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, guarded)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})  # before it is accepted: 403
        else:
            await PlainTextResponse(
                'The page is not known under this name. Next: write names = ["…"] with it under [run.page] into '
                "aand-edge.toml, or use the machine's address.\n",
                421,
            )(scope, receive, guarded)


async def _token_of(request: Request) -> str | None:
    """Of the form in login.html."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_FORM:
            return None
    return parse_qs(body.decode("utf-8", "replace")).get("token", [None])[0]


async def _again_and_again(call: Callable[[], object]) -> None:
    while True:
        call()
        await asyncio.sleep(LOOK_S)
