"""LangChain's clients for OpenAI's protocol, as workers use them. Loading them takes a second or two.

openai's client walks each message through every type of message that there is before it sends it, which takes a third
of a call's processor time. Ours are texts that LangChain has just written down as the protocol has them: they go into
the body as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_openai import AzureChatOpenAI, ChatOpenAI
from pydantic import SecretStr

from enrichment.wire import client

if TYPE_CHECKING:
    from enrichment.model import Endpoint


def _as_written(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with its messages in the part that is sent unread: it goes over what stands beside it."""
    body = {**(payload.get("extra_body") or {}), "messages": payload["messages"]}
    return {**payload, "messages": [], "extra_body": body}


class _OpenAI(ChatOpenAI):
    def _get_request_payload(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        return _as_written(super()._get_request_payload(*arguments, **named))


class _Azure(AzureChatOpenAI):
    def _get_request_payload(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        return _as_written(super()._get_request_payload(*arguments, **named))


def chat(endpoint: Endpoint, max_tokens: int, max_bytes: int, seconds: float) -> ChatOpenAI | AzureChatOpenAI:
    """LangChain's client. It never tries again by itself: that is for whoever keeps the ledger."""
    common: dict[str, Any] = {
        "api_key": SecretStr(endpoint.api_key or "none"), "http_client": client(max_bytes, seconds), "temperature": 0,
        "seed": 0, "max_retries": 0, "max_completion_tokens": max_tokens, "use_responses_api": False,
    }  # fmt: skip
    if endpoint.provider == "azure":
        return _Azure(
            azure_endpoint=endpoint.base_url,
            azure_deployment=endpoint.model,
            api_version=endpoint.api_version,
            **common,
        )
    return _OpenAI(model=endpoint.model, base_url=endpoint.base_url, **common)
