-- The schema `reporting`: what people's own tools read. Made anew as a whole; docs/reporting.md has each column.
-- Personal values read '(sealed)'. A record is named by `record`, object/id, everywhere.

create view reporting.records as
select object || '/' || id as record, object, id, created_at, changed_at, deleted_at
from record;

create view reporting.fields as
select r.object || '/' || r.id as record, r.object, r.id, f.key as field,
    case when starts_with(f.value #>> '{}', 'sealed:1:') then '(sealed)' else f.value #>> '{}' end as value,
    r.provenance -> f.key ->> 'source' as source, r.provenance -> f.key ->> 'by' as set_by,
    r.provenance -> f.key ->> 'id' as event, (r.provenance -> f.key ->> 'at')::timestamptz as set_at
from record r cross join lateral jsonb_each(r.state) f
where r.deleted_at is null and f.value <> 'null' and position('(' in f.key) = 0;

create view reporting.alerts as
select a.id as alert, a.rule, a.rulebook, a.object || '/' || a.record as record, a.object, a.status, a.severity, a.queue,
    a.owner, a.assignee, a.because, a.ai_informed, a.since, a.opened_at, first.acknowledged_at, a.resolved_at,
    a.resolution, a.snoozed_until, a.level as escalations, a.escalated_to,
    extract(epoch from a.opened_at - a.since)::float8 as seconds_to_open,
    extract(epoch from first.acknowledged_at - a.opened_at)::float8 as seconds_to_acknowledge,
    extract(epoch from a.resolved_at - a.opened_at)::float8 as seconds_to_resolve
from alert a left join lateral (
    select min(at) as acknowledged_at from action where action.alert = a.id and verb in ('acknowledge', 'assign')
) first on true;

create view reporting.alert_history as
select x.seq, x.alert, x.at, x.actor, x.verb, x.note, a.rule, a.object || '/' || a.record as record, a.queue, a.severity
from action x join alert a on a.id = x.alert;

create view reporting.sla as
select date_trunc('month', opened_at) as month, rule, queue, severity, owner, ai_informed, count(*) as alerts,
    count(*) filter (where escalations = 0) as kept,
    count(*) filter (where escalations = 0)::float8 / count(*) as adherence,
    count(*) filter (where status <> 'resolved') as standing,
    percentile_cont(0.5) within group (order by seconds_to_acknowledge) as median_seconds_to_acknowledge,
    percentile_cont(0.5) within group (order by seconds_to_resolve) as median_seconds_to_resolve,
    percentile_cont(0.9) within group (order by seconds_to_resolve) as p90_seconds_to_resolve
from reporting.alerts group by 1, 2, 3, 4, 5, 6;

create view reporting.handoffs as
select j.seq, j.object || '/' || j.record as record, j.data ->> 'handoff' as handoff, split_part(j.type, '.', 2) as outcome,
    j.time as at, j.source
from journal j
where j.type in ('handoff.offered', 'handoff.accepted', 'handoff.rejected', 'handoff.refused');

create view reporting.signals as
select id as signal, name, object || '/' || record as record, object, raised_at, (data ->> 'p_value')::float8 as p_value,
    (data ->> 'strength')::float8 as strength, data ->> 'direction' as direction,
    (data ->> 'began_at')::timestamptz as began_at, data ->> 'explanation' as explanation,
    coalesce(data -> 'decided' ->> 'state', 'admitted') as state
from signal;

create view reporting.proposals as
select id as proposal, object || '/' || record as record, object, field, value #>> '{}' as value, confidence, method, model,
    prompt, status, rule, because, decided_by, decided_at, proposed_at
from proposal;

create view reporting.rulebooks as
select a.seq, a.version, r.name, a.at as activated_at, a.by as activated_by, a.note
from activation a join rulebook r on r.version = a.version;

create table if not exists reporting.metrics (
    period_start timestamptz not null,
    period_end timestamptz not null,
    metric text not null,
    part text not null,
    value double precision,
    cases bigint not null,
    low double precision,
    high double precision,
    target double precision,
    unit text not null,
    owner text not null,
    rulebook text not null,
    measured_at timestamptz not null,
    primary key (period_start, period_end, metric, part)
);
