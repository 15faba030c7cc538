"""The text of a condition: its words, its limits, and where in it something stands."""

from __future__ import annotations

import logging
import re
from typing import NoReturn

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

MAX_TOKENS, MAX_DEPTH = 3000, 40
CLOCKS = (exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.CurrentDatetime)

logging.getLogger("sqlglot").setLevel(logging.ERROR)
_POSTGRES = Dialect.get_or_raise("postgres")
_SPAN_PART = re.compile(r"-?[0-9]+(?:\.[0-9]+)?\s*[a-zA-Z]+")
_SPAN_WHOLE = re.compile(r"\s*-?[0-9]+(?:\.[0-9]+)?\s*[a-zA-Z]+\s*\Z")


class PredicateError(ValueError):
    """What is wrong with a predicate, and at which offset of its text; `also`: what else is, further on."""

    def __init__(self, message: str, offset: int = 0, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.offset, self.remedy = message, offset, remedy
        self.also: list[PredicateError] = []


class ConditionText:
    """A condition as it was written. Whatever is refused is refused at the offset of its first character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self._clocked: dict[int, tuple[exp.Expr, bool]] = {}

    def tokenize(self) -> None:
        """Its words. PredicateError where there are too many, or where something hides between them; SqlglotError."""
        if "\x00" in self.text:
            raise PredicateError("holds a NUL character", self.text.index("\x00"))
        self.tokens = _POSTGRES.tokenize(self.text)
        self._limits()
        self._nothing_between()
        self._whole_intervals()

    def _limits(self) -> None:
        if len(self.tokens) > MAX_TOKENS:
            raise PredicateError(f"is longer than {MAX_TOKENS} words", 0, "split the rule")
        depth = 0
        for token in self.tokens:
            deeper = token.token_type in (TokenType.L_PAREN, TokenType.CASE, TokenType.L_BRACKET)
            depth += deeper - (token.token_type in (TokenType.R_PAREN, TokenType.END, TokenType.R_BRACKET))
            if depth > MAX_DEPTH:
                raise PredicateError(f"is nested deeper than {MAX_DEPTH}", token.start)

    def _nothing_between(self) -> None:
        """A comment could hide half a condition, all the more where YAML folds its lines into one."""
        end = -1
        for start, after in [*((token.start, token.end) for token in self.tokens), (len(self.text), 0)]:
            gap = self.text[end + 1 : start]
            if gap.strip():
                offset = end + 1 + len(gap) - len(gap.lstrip())
                if self.text.startswith(("--", "/*"), offset):
                    raise PredicateError("a comment is not accepted in a condition", offset, "write it under because:")
            end = after

    def _whole_intervals(self) -> None:
        """sqlglot picks `1 day` out of `interval '1 day ago'` and drops the rest: such texts are refused before."""
        for word, token in zip(self.tokens, self.tokens[1:], strict=False):
            literal = word.token_type is TokenType.INTERVAL and token.token_type is TokenType.STRING
            if literal and len(_SPAN_PART.findall(token.text)) == 1 and not _SPAN_WHOLE.match(token.text):
                message = f"{token.text!r:.60} is not a length of time; write '48 hours' or '1 month 2 days'"
                raise PredicateError(message, token.start)

    def syntax(self, error: SqlglotError) -> PredicateError:
        details = getattr(error, "errors", None) or [{}]
        line, column = details[0].get("line"), details[0].get("col")
        offset = 0
        if line and column:
            lines = self.text.split("\n")
            offset = sum(len(part) + 1 for part in lines[: line - 1]) + max(column - 1, 0)
        message = (details[0].get("description") or str(error)).splitlines()[0].rstrip(".")
        if message.startswith("Required keyword"):
            message = "something is missing"
        highlight = details[0].get("highlight")
        if highlight:
            offset = max(offset - len(highlight), 0) if column else self.text.find(highlight)
            message += f" near {highlight!r:.40}"
        return PredicateError(f"SQL syntax: {message}", max(min(offset, len(self.text) - 1), 0))

    def extent(self, node: exp.Expr) -> tuple[int, int]:
        """First and last character of what a node was written with, as far as its parts know."""
        metas = [part.meta for part in node.walk() if "start" in part.meta]
        if not metas and isinstance(node, CLOCKS):
            word = next((t for t in self.tokens if t.text.lower().startswith(("current_", "local"))), None)
            return (word.start, word.end) if word else (0, 0)
        if not metas and node.parent is not None:
            return self.extent(node.parent)
        return min((m["start"] for m in metas), default=0), max((m["end"] for m in metas), default=0)

    def refuse(self, node: exp.Expr, message: str, remedy: str = "") -> NoReturn:
        raise PredicateError(message, self.extent(node)[0], remedy)

    def words(self, node: exp.Expr) -> str:
        """A condition as its author wrote it: its parts, out to the nearest AND, OR or bracket."""
        start, end = self.extent(node)
        stop = (TokenType.AND, TokenType.OR)
        depth = 0
        for token in self.tokens:
            if token.start < start:
                continue
            depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
            if token.start <= end:
                continue
            if depth < 0 or (depth == 0 and token.token_type in stop):
                break
            end = token.end
        depth = 0
        for token in reversed(self.tokens):
            if token.end >= start:
                continue
            depth += (token.token_type is TokenType.R_PAREN) - (token.token_type is TokenType.L_PAREN)
            if depth < 0 or (depth == 0 and token.token_type in stop):
                break
            start = token.start
        return " ".join(self.text[start : end + 1].split())

    def has_clock(self, node: exp.Expr) -> bool:
        known = self._clocked.get(id(node))
        if known is None:
            found = isinstance(node, CLOCKS) or (
                isinstance(node, exp.Anonymous) and node.name.lower() in ("business_elapsed", "now")
            )
            # The node is kept beside its answer, so that no other comes to bear its id.
            known = (node, found or any(self.has_clock(part) for part in node.iter_expressions()))
            self._clocked[id(node)] = known
        return known[1]
