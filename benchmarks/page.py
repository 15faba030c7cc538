"""docs/benchmarks.md: a table of every figure with its aim and its peer, and two pictures of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.table import BENCHMARKS

GOOD, SHORT = "#2f8a5f", "#c8662a"
ROW, LEFT, RIGHT, WIDTH = 20, 370, 60, 790


def write_page(docs: Path, results: Path) -> Path:
    """Write the page and its pictures from the results; the page's path."""
    found = measured(results)
    pictures = docs / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    aims = [(one, held_against_aim(one)) for one in every(found) if held_against_aim(one) is not None]
    peers = [(one, gain(one)) for one in every(found) if gain(one) is not None]
    (pictures / "aims.svg").write_text(dots(aims, "short of its aim", "better than its aim"), encoding="utf-8")
    (pictures / "peers.svg").write_text(
        dots(peers, "worse than the peer", "better than the peer", peers=True), encoding="utf-8"
    )
    page = docs / "benchmarks.md"
    page.write_text(text(found), encoding="utf-8")
    return page


def measured(results: Path) -> list[dict[str, Any]]:
    """The results in the order of the table; of each the one at full size, else the small one."""
    paths = ((results / size / f"{one.name}.json" for size in ("full", "small")) for one in BENCHMARKS)
    there = [next((path for path in both if path.exists()), None) for both in paths]
    return [json.loads(path.read_text(encoding="utf-8")) for path in there if path is not None]


def every(found: Sequence[dict[str, Any]]) -> list[Figure]:
    return [Figure(**one) for result in found for one in result["figures"]]


def held_against_aim(one: Figure) -> float | None:
    """How many times as good as its aim; above 1 it is reached. None without an aim."""
    if not one.aim:
        return None
    value, aim = max(one.value, 1e-9), one.aim
    return value / aim if one.better == "higher" else aim / value


def gain(one: Figure) -> float | None:
    """How many times as good as its peer. None without one."""
    if not one.peer or not one.of_peer:
        return None
    return one.of_peer if one.better == "higher" else 1 / one.of_peer


def text(found: Sequence[dict[str, Any]]) -> str:
    """The page."""
    aimed = [one for one in every(found) if one.aim is not None]
    reached = sum(bool(one.reached) for one in aimed)
    small = sum(result["size"] == "small" for result in found)
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks.run`; each benchmark is a line in `benchmarks/table.py`. "
        "`python -m benchmarks.run --only NAME` measures one, and writes this page anew.",
        "",
        f"{len(found)} of {len(BENCHMARKS)} benchmarks, {len(every(found))} figures; {reached} of the "
        f"{len(aimed)} that have an aim reach it.",
        "",
    ]
    if small:
        lines += [
            f"**{small} of them were run at small sizes**, on a machine shared with other work. They show that each "
            "runs and what it prints; small samples miss aims by chance, and fixed costs weigh more. The figures at "
            "full size, with their commands and the load, stand in [Measured figures](figures.md).",
            "",
        ]
    lines += ["## Against the aims", "", "![Each figure over its aim](benchmarks/aims.svg)", ""]
    lines += ["## Against the peers", "", "![Each figure over its peer's](benchmarks/peers.svg)", ""]
    lines += [
        "Without colour: the peer is no rival but a bound that nothing can beat (an oracle that knows the truth, "
        "reading the file and no more, a bare endpoint), and how near one comes is what counts.",
        "",
    ]
    lines += ["## Every figure", ""]
    for result in found:
        one = next(one for one in BENCHMARKS if one.name == result["name"])
        lines += [
            f"### {one.name}",
            "",
            f"{one.figures[:1].upper()}{one.figures[1:]}. Beside: {one.peer}.",
            "",
            f"`python -m benchmarks.{' '.join([one.name, result['arguments']]).strip()}`: {result['seconds']:,.0f} s "
            f"on {result['date']}, {result['machine']}, load {result['load'][0]} to {result['load'][1]}"
            + (", small size." if result["size"] == "small" else "."),
            "",
            "| figure | value | aim | peer | of the peer |",
            "|---|---|---|---|---|",
            *(row(Figure(**each), small=result["size"] == "small") for each in result["figures"]),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def row(one: Figure, *, small: bool = False) -> str:
    """A line of the table; an aim that is not reached says so, and where it was not measured at the size it is for."""
    aim = ""
    if one.aim is not None:
        missed = ", not at this size" if small else ", not reached"
        side = "at least" if one.better == "higher" else "at most"
        aim = f"{side} {number(one.aim)}{'' if one.reached else missed}"
    against = f"{one.peer} (a bound)" if one.bound else one.peer
    peer = number(one.of_peer) if one.of_peer is not None else ""
    cells = (one.what, f"{number(one.value)} {one.unit}".strip(), aim, against, peer)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace('<', '&lt;') for cell in cells)} |"


def number(value: float) -> str:
    """Three figures that count; nothing after the point above a hundred."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def dots(found: Sequence[tuple[Figure, float | None]], worse: str, better: str, *, peers: bool = False) -> str:
    """A dot a figure on a logarithmic scale; the line is 1. In the colours of the page that it stands in."""
    shown = [(one, max(min(times or 1.0, 1e4), 1e-4)) for one, times in found]
    low = min([-1.0, *(log10(times) for _, times in shown)])
    high = max([1.0, *(log10(times) for _, times in shown)])
    height = 46 + ROW * len(shown) + 30

    def x(times: float) -> float:
        return LEFT + (log10(times) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" '
        'font-size="11" fill="currentColor">',
        f'<text x="{x(1) - 8:.1f}" y="16" text-anchor="end" fill="{SHORT}">{worse}</text>',
        f'<text x="{x(1) + 8:.1f}" y="16" fill="{GOOD}">{better}</text>',
    ]
    for power in range(int(low) - (low < int(low)), int(high) + 1):
        if low <= power <= high:
            weight, place = (1.4 if power == 0 else 0.5), x(10.0**power)
            parts.append(
                f'<path d="M{place:.1f} 24V{height - 26}" stroke="currentColor" stroke-width="{weight}" opacity=".5"/>'
                f'<text x="{place:.1f}" y="{height - 10}" text-anchor="middle">{10.0**power:g}</text>'
            )
    for place, (one, times) in enumerate(shown):
        y, colour = 42 + ROW * place, GOOD if times >= 1 else SHORT
        if one.bound and peers:
            colour = "currentColor"
        name = one.what if len(one.what) <= 58 else one.what[:57] + "…"
        said = f"{times:.2g}" if times < 10 else f"{times:,.0f}"
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
            f'<path d="M{x(1):.1f} {y}H{x(times):.1f}" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{x(times):.1f}" cy="{y}" r="4" fill="{colour}"/>'
            f'<text x="{max(x(times), x(1)) + 8:.1f}" y="{y + 4}">{said}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
