"""The rulebook of the traces: each kind of rule that reads no AI, beside rules that AI feeds."""

BOOK = """
name: subordination
timezone: Europe/Rome
objects:
  account:
    fields:
      segment: {type: enum, values: [smb, mid]}
      employees: {type: integer, min: 1, fill: enrichment}
      industry: {type: text, fill: enrichment}
      region: {type: text}
      leads: {type: integer, rollup: {count: records, over: lead, via: account}}
      last_at: {type: timestamp, rollup: {latest: time, of: activity.logged}}
  lead:
    fields:
      account: {type: ref, to: account}
      likely: {type: ref, to: account, fill: enrichment}
      waits: {type: boolean, fill: enrichment}
      stage: {type: enum, values: [raw, mql, sql]}
      mql_at: {type: timestamp}
      contacted_at: {type: timestamp}
      amount: {type: money}
      calls: {type: integer, rollup: {count: events, of: activity.logged, where: "kind = 'call'"}}
      touches: {type: integer, rollup: {count: events, of: '*'}}
      last_at: {type: timestamp, rollup: {latest: time, of: activity.logged}}
calendars:
  office: {days: [mon, tue, wed, thu, fri], hours: ["09:00", "18:00"]}
handoffs:
  to_sales: {object: lead, from: marketing, to: sales, requires: {fields: [amount]}, answer: {time: 12 hours}}
signals:
  quiet_lead: {object: lead, detector: stage_dwell, field: stage}
rules:
  - {id: waiting, object: lead, severity: high, queue: desk, owner: anna, inhibits: [lasting],
     when: "stage = 'mql' and contacted_at is null and mql_at <= now() - interval '48 hours'"}
  - {id: lasting, object: lead, when: "stage = 'mql'", for: 2 hours, queue: desk, owner: bruno}
  - {id: silent, object: lead, when: "last_at <= now() - interval '1 day'", queue: desk, owner: anna}
  - {id: busy, object: lead, when: "calls >= 2"}
  - {id: touched, object: lead, when: "touches >= 4"}
  - {id: stale, object: lead, when: "changed_at(stage) <= now() - interval '2 days'"}
  - {id: late, object: lead, when: "business_elapsed(mql_at, 'office') >= interval '8 hours'", queue: desk}
  - {id: dear, object: lead, when: "amount > 100", severity: high}
  - {id: of_small, object: lead, when: "account.segment = 'smb'"}
  - {id: crowded, object: account, when: "leads >= 2"}
  - {id: cold, object: account, when: "last_at <= now() - interval '1 day'"}
  - {id: tiny, object: account, when: employees < 10, severity: high, queue: desk, inhibits: [tiny_lead]}
  - {id: tiny_lead, object: account, when: employees < 100 and industry is not null, severity: high}
  - {id: small_lead, object: lead, when: account.employees < 10, severity: high, queue: desk}
  - {id: likely_small, object: lead, when: likely.segment = 'smb', severity: high}
  - {id: paused, object: lead, severity: high, queue: desk,
     when: "business_elapsed(mql_at, 'office', paused_by => waits) >= interval '8 hours'"}
  - {id: unpaused, object: lead, severity: high, when: waits is null}
  - {id: big, object: account, when: employees > 10, trust: verified, severity: high, queue: desk}
  - {id: of_big, object: lead, when: "account.employees > 10 and verified(waits) is null", trust: verified, queue: desk}
  - {id: odd, object: lead, when: quiet_lead.p_value < 0.05, severity: high, queue: desk}
receivers:
  desk: {url: "http://127.0.0.1:9/desk", secret: DESK_SECRET, queues: [desk]}
  grave: {url: "http://127.0.0.1:9/grave", secret: GRAVE_SECRET, severities: [high], rate: 1}
acceptance:
  account.employees: {accept_at: 0.9, review_at: 0.3}
  account.industry: {accept_at: 0.9, review_at: 0.3}
  lead.likely: {accept_at: 0.5, review_at: 0.3}
  lead.waits: {accept_at: 0.5, review_at: 0.3}
"""
FROM_AI = ("employees", "industry", "likely", "waits", "quiet_lead")
"""Fields, and a signal, that a named acceptance or a declared signal lets a worker fill: what is declassified."""

VERIFIED = ("employees", "waits")
"""Fields that a rule reads as verified: what a person accepts of a proposal for them is said by that person."""

TEXT = "Acme makes bolts. It has 7 employees in Turin; most likely A1 and A2."
QUOTES = ("7 employees", "bolts", "A1", "A2")
