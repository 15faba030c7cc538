"""An oracle for rules: PostgreSQL itself is asked, instant by instant, whether a condition is true.

It shares no code with the compiler, the fold or the SQL writer. A small grammar yields each condition twice: as a
rule's text, and as PostgreSQL's text in which `now()` is a column `t` and intervals stand on the record's side
(`x <= now() - interval 'd'` means `x + interval 'd' <= now()`). The session's time zone is the rulebook's, so that
PostgreSQL's own arithmetic is the reference. Candidate instants are each end of a version and each field's time plus
and minus each interval of the rule, and their neighbours one microsecond away: between two of them no truth changes.

    python tests/oracles/predicate.py --rules 20000 --seed 1

draws rules and histories, runs them on both engines, and names every difference.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time as clock
from contextlib import ExitStack
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from oracles.comparing import Tally, compare_batch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=1000, help="how many rules to draw")
    parser.add_argument("--seed", type=int, default=1, help="the first batch's seed; each batch has the next")
    parser.add_argument("--batch", type=int, default=25, help="rules for each history")
    parser.add_argument("--url", default="", help="a PostgreSQL to use; an embedded one is started otherwise")
    parser.add_argument("--engines", default="duckdb,live", help="of duckdb, live and spark")
    given = parser.parse_args()
    engines = given.engines.split(",")
    from watchtower.flow.spark import spark_session
    from watchtower.store import embedded

    tally, begun = Tally(), clock.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        spark = stack.enter_context(spark_session("local[2]")) if "spark" in engines else None
        server = None if given.url else embedded.start(Path(folder) / "data")
        try:
            url = given.url or server.url  # type: ignore[union-attr]
            seed = given.seed
            while tally.rules < given.rules:
                shown = len(tally.differences)
                compare_batch(url, seed, min(given.batch, given.rules - tally.rules), tally, engines, spark)
                for difference in tally.differences[shown : shown + 5]:
                    print(difference, flush=True)
                seed += 1
                if tally.rules % (given.batch * 40) == 0:
                    print(f"{tally.rules} rules, {len(tally.differences)} differences", file=sys.stderr, flush=True)
        finally:
            if server is not None:
                server.close()
    print(
        f"{tally.rules} rules, {tally.pairs} rules x records, {tally.answers} answers compared, "
        f"{len(tally.differences)} differences, {clock.monotonic() - begun:.0f} s"
    )
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
