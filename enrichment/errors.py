"""What can go wrong in enrichment, in two sizes.

    EnrichmentError     message and remedy, for people
      ModelError        the language model cannot be had at all: the run is halted (or goes on without it)
      WeightsError      the model's file cannot be fetched, assembled or trusted
    CallFailed          one call failed: this document is skipped, counted by its reason

Workers import nothing of the tower but its contract, so these stand here; the composition root turns
an EnrichmentError into the tower's own ModelError, which has the same two parts.
"""

from __future__ import annotations


class EnrichmentError(Exception):
    """The root. `remedy` says what to do next."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class ModelError(EnrichmentError):
    """The language model cannot be had: refused, unknown, not authorised, or its engine is absent."""


class WeightsError(EnrichmentError):
    """The model's file cannot be fetched, assembled or trusted."""


class CallFailed(Exception):
    """One call gave no usable answer.

    `reason` is one of a small closed set (it becomes a metric's label): deadline, refused, rate_limited, unavailable,
    server_error, rejected, oversized, encoded, network, not_json, wrong_schema, empty, tripped, withheld (it may not
    leave the machine), deferred (it waits for a provider's batch), spent (an earlier run recorded the intent to make
    this call, and its answer is unknown).
    `free`: nothing was paid, so it may be made again. `after`: seconds until it may, where the provider says so.
    """

    def __init__(self, reason: str, detail: str = "", *, free: bool = False, after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.free = free
        self.after = after
