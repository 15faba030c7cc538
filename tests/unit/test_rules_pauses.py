"""Business time that stands while a field is true: against a slow sum over ten-minute steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from watchtower.rulebook.model import Calendar
from watchtower.rules.business import OpenHours

ROME = ZoneInfo("Europe/Rome")
START = datetime(2026, 3, 26, tzinfo=UTC)  # a Thursday; the clocks change on Sunday
STEP = timedelta(minutes=10)
HOURS = OpenHours(
    Calendar.model_validate({"days": ["mon", "thu", "fri", "sun"], "hours": ["01:30", "04:00", "09:00", "12:30"]}), ROME
)
STEPS = 6 * 24 * 14

instants = st.integers(0, 6 * 24 * 6).map(lambda n: START + n * STEP)


@st.composite
def pauses(draw: st.DrawFn) -> list[tuple[datetime, datetime | None]]:
    edges = sorted(draw(st.sets(instants, max_size=6)))
    found: list[tuple[datetime, datetime | None]] = list(zip(edges[::2], edges[1::2], strict=False))
    return [*found, (edges[-1], None)] if len(edges) % 2 else found


def is_open(time: datetime) -> bool:
    wall = time.astimezone(ROME)
    minute = wall.hour * 60 + wall.minute
    return wall.weekday() in (0, 3, 4, 6) and (90 <= minute < 240 or 540 <= minute < 750)


def slow(x: datetime, length: int, stops: list[tuple[datetime, datetime | None]], *, last: bool) -> datetime | None:
    """The first step at which `length` steps have been open; or the last at which no more have been."""
    elapsed, time = 0, x
    for _ in range(STEPS):
        if not last and elapsed >= length:
            return time
        counts = is_open(time) and not any(a <= time and (b is None or time < b) for a, b in stops)
        if last and elapsed + counts > length:
            return time
        elapsed, time = elapsed + counts, time + STEP
    return None


@given(instants, st.integers(1, 60), pauses(), st.booleans())
def test_the_instant_is_that_of_a_slow_sum(
    x: datetime, length: int, stops: list[tuple[datetime, datetime | None]], last: bool
) -> None:
    reach = HOURS.paused_last if last else HOURS.paused_first
    found = reach(x, length * 600_000_000, stops)
    wanted = slow(x, length, stops, last=last)
    assert found == wanted


@given(instants, st.integers(1, 60))
def test_without_pauses_it_is_plain_business_time(x: datetime, length: int) -> None:
    assert HOURS.paused_first(x, length * 600_000_000, []) == HOURS.first(x, length * 600_000_000)
    assert HOURS.paused_last(x, length * 600_000_000, []) == HOURS.last(x, length * 600_000_000)
