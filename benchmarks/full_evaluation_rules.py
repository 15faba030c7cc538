"""Fifty rules on deals, said twice: as a rulebook says them, and as an engineer would write them in DuckDB by hand.

A hand-written rule knows which columns are never null in this data (stage, region, source), and treats only the others
as unknowns. Calendar units are on the rulebook's wall clock in both: across a change of clocks `+ INTERVAL 21 DAY` on
a TIMESTAMPTZ gives another instant (it takes the repeated hour for the earlier one).
"""

from __future__ import annotations

from dataclasses import dataclass

ZONE = "Europe/Rome"
OPEN = "stage in ('discovery', 'proposal', 'negotiation')"


def later(instant: str, span: str) -> str:
    """Calendar units after an instant, by hand."""
    return f"((({instant} AT TIME ZONE '{ZONE}') + INTERVAL '{span}') AT TIME ZONE '{ZONE}')"


MIDNIGHT = f"(CAST(close_on AS TIMESTAMP) AT TIME ZONE '{ZONE}')"


@dataclass(frozen=True)
class Rule:
    """`tests`: (condition, the column that may be missing in it or empty); `starts`, `ends`: (instant, its column)."""

    when: str
    tests: tuple[tuple[str, str], ...]
    starts: tuple[tuple[str, str], ...] = ()
    ends: tuple[tuple[str, str], ...] = ()

    @property
    def of_account(self) -> bool:
        return "account." in self.when


def _rules() -> list[Rule]:
    found: list[Rule] = []
    changed = '"changed_at(stage)"'
    for region in ("emea", "amer"):
        here = (f"region = '{region}'", "")
        at = f"region = '{region}'"
        opened = (OPEN, "")
        found += [
            Rule(f"{at} and {OPEN} and owner is null", (here, opened, ("owner IS NULL", ""))),
            Rule(f"{at} and {OPEN} and next_step is null and source = 'partner'",
                 (here, opened, ("next_step IS NULL", ""), ("source = 'partner'", ""))),
            Rule(f"{at} and stage = 'won' and contract is null",
                 (here, ("stage = 'won'", ""), ("contract IS NULL", ""))),
            Rule(f"{at} and stage = 'lost' and reason is null", (here, ("stage = 'lost'", ""), ("reason IS NULL", ""))),
            Rule(f"{at} and stage = 'negotiation' and amount >= 60000 and approver is null",
                 (here, ("stage = 'negotiation'", ""), ("amount >= 60000", "amount"), ("approver IS NULL", ""))),
            Rule(f"{at} and stage in ('proposal', 'negotiation') and discount > 30 and approver is null",
                 (here, ("stage IN ('proposal', 'negotiation')", ""), ("discount > 30", "discount"),
                  ("approver IS NULL", ""))),
            Rule(f"{at} and {OPEN} and amount > 80000 and calls < 2",
                 (here, opened, ("amount > 80000", "amount"), ("calls < 2", "calls"))),
        ]  # fmt: skip
        for stage, days in (("discovery", 30), ("proposal", 21), ("negotiation", 14)):
            is_stage = (f"stage = '{stage}'", "")
            found += [
                Rule(f"{at} and stage = '{stage}' and changed_at(stage) <= now() - interval '{days} days'",
                     (here, is_stage), ((later(changed, f"{days} DAY"), changed),)),
                Rule(f"{at} and stage = '{stage}' and next_step_at <= now() - interval '72 hours'",
                     (here, is_stage), (("next_step_at + INTERVAL 72 HOUR", "next_step_at"),)),
                Rule(f"{at} and stage = '{stage}' and last_activity_at <= now() - interval '{days} days' and calls > 3",
                     (here, is_stage, ("calls > 3", "calls")),
                     ((later("last_activity_at", f"{days} DAY"), "last_activity_at"),)),
            ]  # fmt: skip
        found += [
            Rule(f"{at} and {OPEN} and close_on <= now() - interval '1 day'", (here, opened),
                 ((later(MIDNIGHT, "1 DAY"), "close_on"),)),
            Rule(f"{at} and stage = 'won' and signed_at <= now() - interval '1 month' and contract is null",
                 (here, ("stage = 'won'", ""), ("contract IS NULL", "")),
                 ((later("signed_at", "1 MONTH"), "signed_at"),)),
            Rule(f"{at} and stage = 'won' and signed_at <= now() - interval '7 days' "
                 "and signed_at > now() - interval '45 days' and calls = 0",
                 (here, ("stage = 'won'", ""), ("calls = 0", "calls")),
                 ((later("signed_at", "7 DAY"), "signed_at"),), ((later("signed_at", "45 DAY"), "signed_at"),)),
            Rule(f"{at} and stage = 'negotiation' and close_on <= now() + interval '14 days' "
                 "and close_on > now() and approver is null",
                 (here, ("stage = 'negotiation'", ""), ("approver IS NULL", "")),
                 ((later(MIDNIGHT, "-14 DAY"), "close_on"),),
                 ((MIDNIGHT, "close_on"),)),
            Rule(f"{at} and source = 'web' and stage = 'discovery' and last_activity_at is null "
                 "and changed_at(stage) <= now() - interval '48 hours'",
                 (here, ("source = 'web'", ""), ("stage = 'discovery'", ""), ("last_activity_at IS NULL", "")),
                 ((f"{changed} + INTERVAL 48 HOUR", changed),)),
            Rule(f"{at} and {OPEN} and account.segment = 'enterprise' and amount < 5000",
                 (here, opened, ("\"account.segment\" = 'enterprise'", "account.segment"),
                  ("amount < 5000", "amount"))),
            Rule(f"{at} and {OPEN} and account.employees < 20 and source <> 'partner'",
                 (here, opened, ('"account.employees" < 20', "account.employees"), ("source <> 'partner'", ""))),
            Rule(f"{at} and stage = 'negotiation' and account.segment = 'smb' "
                 "and changed_at(stage) <= now() - interval '10 days'",
                 (here, ("stage = 'negotiation'", ""), ("\"account.segment\" = 'smb'", "account.segment")),
                 ((later(changed, "10 DAY"), changed),)),
            Rule(f"{at} and stage = 'proposal' and account.segment <> 'smb' and owner is null",
                 (here, ("stage = 'proposal'", ""), ("\"account.segment\" <> 'smb'", "account.segment"),
                  ("owner IS NULL", ""))),
        ]  # fmt: skip
    return found


RULES = _rules()

BOOK = {
    "name": "deals",
    "timezone": ZONE,
    "objects": {
        "account": {
            "fields": {
                "segment": {"type": "enum", "values": ["smb", "mid", "enterprise"]},
                "employees": {"type": "integer"},
            }
        },
        "deal": {
            "fields": {
                "account": {"type": "ref", "to": "account"},
                "stage": {"type": "enum", "values": ["discovery", "proposal", "negotiation", "won", "lost"]},
                "region": {"type": "enum", "values": ["emea", "amer", "apac", "latam"]},
                "source": {"type": "enum", "values": ["web", "partner", "event"]},
                "owner": {"type": "text"},
                "amount": {"type": "money"},
                "discount": {"type": "number"},
                "approver": {"type": "text"},
                "contract": {"type": "text"},
                "reason": {"type": "text"},
                "calls": {"type": "integer"},
                "next_step": {"type": "text"},
                "next_step_at": {"type": "timestamp"},
                "last_activity_at": {"type": "timestamp"},
                "signed_at": {"type": "timestamp"},
                "close_on": {"type": "date"},
            }
        },
    },
    "rules": [{"id": f"r{n:02}", "object": "deal", "when": rule.when} for n, rule in enumerate(RULES)],
}

DATA = """
CREATE MACRO u(r, k, what) AS (hash(r * 16 + k, what) % 100000) / 100000.0;
CREATE TABLE v_account AS
SELECT 'A-' || r AS record,
  TIMESTAMPTZ '2025-01-01 00:00:00+00' + k * to_days(CAST(120 + 200 * u(r, 0, 'g') AS INT)) AS vfrom,
  CASE WHEN k < n THEN vfrom + to_days(CAST(120 + 200 * u(r, 0, 'g') AS INT)) ELSE TIMESTAMPTZ 'infinity' END AS vto,
  CASE WHEN u(r, k, 'null') > .02 THEN ['smb', 'mid', 'enterprise'][1 + CAST(floor(3 * u(r, k, 'segment')) AS INT)] END
    AS segment,
  CASE WHEN u(r, 0, 'e') > .1 THEN CAST(exp(8 * u(r, 0, 'employees')) AS BIGINT) END AS employees
FROM (SELECT r, CAST(u(r, 0, 'n') < .3 AS INT) AS n FROM range({accounts}) t(r)), range(2) s(k) WHERE k <= n;
CREATE TABLE v_deal AS
WITH made AS (
  SELECT r, k, n, TIMESTAMPTZ '2025-07-01 00:00:00+00' + to_seconds(CAST(u(r, 0, 'born') * 25e6 AS BIGINT)) AS born,
    CAST(floor(3 * u(r, 0, 'stage')) AS INT) + k AS stage_no, 6e5 + u(r, 0, 'gap') * 2e6 AS gap
  FROM (SELECT r, CAST(floor(3 * u(r, 0, 'n')) AS INT) AS n FROM range({records}) t(r)), range(3) s(k) WHERE k <= n),
timed AS (SELECT *, born + to_seconds(CAST(k * gap AS BIGINT)) AS vfrom FROM made)
SELECT 'D-' || r AS record, vfrom,
  CASE WHEN k < n THEN born + to_seconds(CAST((k + 1) * gap AS BIGINT)) ELSE TIMESTAMPTZ 'infinity' END AS vto,
  'A-' || CAST(floor({accounts} * u(r, 0, 'account')) AS BIGINT) AS account,
  CASE WHEN stage_no >= 3 AND u(r, 0, 'win') < .6 THEN 'lost'
    ELSE ['discovery', 'proposal', 'negotiation', 'won', 'won'][1 + stage_no] END AS stage,
  ['emea', 'amer', 'apac', 'latam'][1 + CAST(floor(4 * u(r, 0, 'region')) AS INT)] AS region,
  ['web', 'partner', 'event'][1 + CAST(floor(3 * u(r, 0, 'source')) AS INT)] AS source,
  CASE WHEN u(r, k, 'owner') > .05 THEN 'owner ' || (r % 50) END AS owner,
  CASE WHEN u(r, 0, 'priced') > .08 OR k > 0 THEN CAST(floor(exp(7 + 5 * u(r, 0, 'amount'))) AS DOUBLE) END AS amount,
  CASE WHEN u(r, k, 'discounted') > .05 THEN CAST(floor(40 * u(r, 0, 'discount')) AS DOUBLE) END AS discount,
  CASE WHEN u(r, k, 'approved') > .7 THEN 'cfo' END AS approver,
  CASE WHEN u(r, k, 'signed') > .1 THEN 'standard' END AS contract,
  CASE WHEN u(r, k, 'told') > .1 THEN 'price' END AS reason,
  CASE WHEN u(r, 0, 'called') > .03 THEN CAST(floor(6 * u(r, 0, 'calls')) AS BIGINT) + k END AS calls,
  CASE WHEN u(r, k, 'planned') > .15 THEN 'call' END AS next_step,
  CASE WHEN u(r, k, 'planned') > .15 THEN vfrom + to_seconds(CAST(u(r, k, 'next') * 4e6 AS BIGINT)) END AS next_step_at,
  CASE WHEN u(r, k, 'active') > .1 THEN vfrom - to_seconds(CAST(u(r, k, 'last') * 1e6 AS BIGINT)) END
    AS last_activity_at,
  CASE WHEN stage_no >= 3 AND u(r, k, 'dated') > .02 THEN vfrom END AS signed_at,
  CASE WHEN u(r, 0, 'closing') > .06 THEN CAST(born AS DATE) + CAST(60 + 300 * u(r, 0, 'close') AS INT) END AS close_on,
  vfrom AS "changed_at(stage)"
FROM timed ORDER BY r, k;
"""
