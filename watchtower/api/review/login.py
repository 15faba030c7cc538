"""Signing in and out: a key is taken once, and the browser keeps a session's cookie instead."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from watchtower.api.auth import COOKIE
from watchtower.api.port import TowerPort
from watchtower.api.review.environment import page
from watchtower.api.review.forms import back, form_of
from watchtower.errors import InputError
from watchtower.flow.door import SESSION


def routes(tower: TowerPort) -> APIRouter:
    """The page that takes a key."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    def get_login(request: Request) -> Response:
        return page(request, "login.html", {"now": tower.clock(), "back": request.query_params.get("next", "/")})

    @router.post("/login")
    async def post_login(request: Request) -> Response:
        form = await form_of(request)
        try:
            token = await run_in_threadpool(tower.door.sign_in, form.get("key", ""))
        except InputError as error:
            words = {"now": tower.clock(), "back": form.get("next", "/"), "wrong": str(error)}
            return page(request, "login.html", words, status=401)
        response = back(form, "/")
        response.set_cookie(
            COOKIE, token, max_age=int(SESSION.total_seconds()), httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    @router.post("/logout")
    async def post_logout(request: Request) -> Response:
        token = request.cookies.get(COOKIE, "")
        if token:
            await run_in_threadpool(tower.door.sign_out, token)
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return router
