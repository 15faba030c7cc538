"""Calls to language models, as an operator sees them: counts and durations (Prometheus), and spans (OpenTelemetry).

A span bears OpenInference's attributes for an LLM call: model, provider, tokens. What was asked and said stands in it
only where that was asked for: a document may tell of people. Labels are the models' names, as the settings give them,
and the closed set of outcomes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from openinference.semconv.trace import MessageAttributes, OpenInferenceSpanKindValues, SpanAttributes
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from prometheus_client import Counter, Histogram

from enrichment.errors import CallFailed, ModelError

MODELS = 16
"""Names of models that a process tells apart; further ones are `other`."""
CALLS = Histogram(
    "watchtower_llm_call_seconds", "Calls to language models, all tries of one together.", ["model", "outcome"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 180),
)  # fmt: skip
TOKENS = Counter("watchtower_llm_tokens", "Tokens by the provider's own count.", ["model", "direction"])

_tracer = trace.get_tracer("watchtower.enrichment")
_names: set[str] = set()


class Observed:
    """One call under way."""

    def __init__(self, span: Span, *, content: bool) -> None:
        self._span, self._content = span, content
        self.tokens_in = self.tokens_out = 0

    def asked(self, messages: Sequence[tuple[str, str]]) -> None:
        """What the model is asked: it stands in the span only where content was asked for."""
        if self._content and self._span.is_recording():
            for number, (role, text) in enumerate(messages):
                place = f"{SpanAttributes.LLM_INPUT_MESSAGES}.{number}"
                self._span.set_attribute(f"{place}.{MessageAttributes.MESSAGE_ROLE}", role)
                self._span.set_attribute(f"{place}.{MessageAttributes.MESSAGE_CONTENT}", text)

    def heard(self, content: str, tokens_in: int, tokens_out: int) -> None:
        """What it said, and took."""
        self.tokens_in, self.tokens_out = tokens_in, tokens_out
        self._span.set_attribute(SpanAttributes.LLM_TOKEN_COUNT_PROMPT, tokens_in)
        self._span.set_attribute(SpanAttributes.LLM_TOKEN_COUNT_COMPLETION, tokens_out)
        self._span.set_attribute(SpanAttributes.LLM_TOKEN_COUNT_TOTAL, tokens_in + tokens_out)
        if self._content:
            place = f"{SpanAttributes.LLM_OUTPUT_MESSAGES}.0"
            self._span.set_attribute(f"{place}.{MessageAttributes.MESSAGE_ROLE}", "assistant")
            self._span.set_attribute(f"{place}.{MessageAttributes.MESSAGE_CONTENT}", content)


@contextmanager
def observed(model: str, provider: str, prompt: str, *, content: bool) -> Iterator[Observed]:
    """Around one call; a CallFailed or ModelError that leaves the block is its outcome."""
    attributes: dict[str, Any] = {
        SpanAttributes.OPENINFERENCE_SPAN_KIND: OpenInferenceSpanKindValues.LLM.value,
        SpanAttributes.LLM_MODEL_NAME: model,
        SpanAttributes.LLM_PROVIDER: provider,
        "watchtower.prompt": prompt,
    }
    begun, outcome = time.perf_counter(), "fault"
    # An exception's text may quote the answer: the span has its kind alone.
    with _tracer.start_as_current_span(
        "llm.call", kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        call = Observed(span, content=content)
        try:
            yield call
            outcome = "answered"
        except (CallFailed, ModelError) as fault:
            outcome = fault.reason if isinstance(fault, CallFailed) else "no_model"
            raise
        finally:
            span.set_attribute("watchtower.outcome", outcome)
            if outcome != "answered":
                span.set_status(Status(StatusCode.ERROR, outcome))
            label = _label(model)
            CALLS.labels(label, outcome).observe(time.perf_counter() - begun)
            TOKENS.labels(label, "in").inc(call.tokens_in)
            TOKENS.labels(label, "out").inc(call.tokens_out)


def _label(model: str) -> str:
    if model not in _names and len(_names) >= MODELS:
        return "other"
    _names.add(model)
    return model
