"""Faults as answers: one table from error class to HTTP status, and problem+json (RFC 9457) for each."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from watchtower import errors
from watchtower.api.headers import dress
from watchtower.api.review.environment import error_page

log = structlog.get_logger(__name__)

STATUS: tuple[tuple[type[errors.WatchtowerError], int], ...] = (
    (errors.Missing, 404),
    (errors.Stale, 412),
    (errors.EventConflict, 409),
    (errors.MediaError, 415),
    (errors.InputError, 400),
    (errors.RulebookError, 422),
    (errors.StoreError, 503),
    (errors.ModelError, 503),
    (errors.WatchtowerError, 500),
)
"""The first class that fits decides: subclasses stand before their parents."""


def status_of(error: errors.WatchtowerError) -> int:
    """The HTTP status for an error of ours."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def problem(status: int, detail: str, *, remedy: str = "", **more: Any) -> JSONResponse:
    """An application/problem+json answer."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if remedy:
        body["remedy"] = remedy
    return JSONResponse(body | more, status_code=status, media_type="application/problem+json")


def answer(request: Request, status: int, detail: str, *, remedy: str = "", **more: Any) -> Response:
    """A problem as a page where a person asked with a browser, else as problem+json."""
    path = request.url.path
    page = path == "/" or path.startswith("/review") or "text/html" in request.headers.get("accept", "")
    if page and "hx-request" not in request.headers:
        return error_page(request, status, HTTPStatus(status).phrase, detail, remedy)
    return problem(status, detail, remedy=remedy, **more)


def install(app: FastAPI) -> None:
    """Let every fault of `app` answer as a problem."""

    @app.exception_handler(errors.WatchtowerError)
    def _ours(request: Request, error: errors.WatchtowerError) -> Response:
        status = status_of(error)
        if status >= 500:
            log.error("request failed", path=request.url.path, status=status, reason=error.message)
        return answer(request, status, error.message, remedy=error.remedy)

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [
            {
                "where": ".".join(str(part) for part in fault["loc"]),
                "message": fault["msg"].removeprefix("Value error, "),
            }
            for fault in error.errors()
        ]
        detail = "; ".join(f"{fault['where']}: {fault['message']}" for fault in faults)
        return answer(request, 422, detail, faults=faults)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        detail = str(error.detail)
        if error.status_code == 404 and detail == "Not Found":
            detail = f"{request.url.path}: there is nothing here"
        response = answer(request, error.status_code, detail)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    def _left(request: Request, error: ClientDisconnect) -> Response:
        # Nobody is there to read it. That it is no error of ours keeps whoever leaves often from filling the log.
        log.info("client left", path=request.url.path)
        return answer(request, 400, "the client left before its body had come")

    @app.exception_handler(Exception)
    def _unforeseen(request: Request, error: Exception) -> Response:
        log.error("request failed", path=request.url.path, exc_info=error)
        words, remedy = "something went wrong here that nobody foresaw", "the service's log has the details"
        response = answer(request, 500, words, remedy=remedy)
        dress(response.headers, request.state.nonce)  # this answer leaves outside the guard
        return response
