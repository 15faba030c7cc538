-- The jobs database: what goes down to the workers and comes up from them, beside Procrastinate's own tables.
-- Safe to run again. A worker's role reads batch, asked and blob, and calls the functions below; it writes no table.

create table if not exists about (name text primary key, value text not null);

-- What several batches share, named by its hash: labelled texts, snapshots.
create table if not exists blob (
    id text primary key,
    body bytea not null check (octet_length(body) <= 268435456),
    made_at timestamptz not null default now()
);

-- One batch is one job. `body` is JSON (watchtower.contract.batch), frozen at the time of asking. `died_at` is the
-- request that was open when its worker died, `deaths` how many died over it in a row.
create table if not exists batch (
    id text primary key,
    queue text not null,
    job bigint,
    body text not null check (octet_length(body) <= 8388608),
    blob text references blob,
    made_at timestamptz not null default now(),
    died_at text,
    deaths integer not null default 0
);

create table if not exists asked (
    batch text not null references batch on delete cascade,
    request text not null,
    place integer not null,
    parts integer not null check (parts between 1 and 100),
    answered_at timestamptz,
    primary key (batch, request)
);

create table if not exists result (
    batch text not null,
    request text not null,
    part integer not null check (part between 1 and 100),
    body text not null check (octet_length(body) <= 262144),
    by text not null,
    at timestamptz not null default now(),
    primary key (batch, request, part),
    foreign key (batch, request) references asked on delete cascade
);

-- The ledger of calls to language models. A row without an outcome is a call whose end nobody knows.
create table if not exists call (
    key text primary key check (octet_length(key) <= 200),
    by text not null,
    intended_at timestamptz not null default now(),
    settled_at timestamptz,
    outcome text check (octet_length(outcome) <= 200)
);

create table if not exists spend (day date primary key, calls bigint not null);
create table if not exists quota (name text primary key, value bigint not null);

-- What a call said, and cost. `said` is the answer, named by what was asked: the key is a hash of model, prompt,
-- messages and schema. `free`: nothing was paid, so the same may be asked again. Until a call is settled, what it may
-- cost at most counts as spent.
alter table call add column if not exists model text not null default '';
alter table call add column if not exists said text check (octet_length(said) <= 262144);
alter table call add column if not exists free boolean not null default false;
alter table call add column if not exists tokens_in bigint not null default 0;
alter table call add column if not exists tokens_out bigint not null default 0;
alter table call add column if not exists money double precision not null default 0;
alter table call add column if not exists reserved_tokens bigint not null default 0;
alter table call add column if not exists reserved_money double precision not null default 0;
alter table spend add column if not exists tokens bigint not null default 0;
alter table spend add column if not exists money double precision not null default 0;

-- Money for a million tokens. A model that is not listed costs nothing here.
create table if not exists price (
    model text primary key,
    input double precision not null check (input >= 0),
    output double precision not null check (output >= 0)
);

-- A worker's answer to one request of a batch. False: nobody asked, or it is answered already.
-- It does not wait for the disk, which the core waits for, too. A crash of the server may lose it, with all that was
-- written here after it: then its job is not done either, a call that was paid for stands in the ledger, settled before
-- it, and the request is answered again.
create or replace function answer(of_batch text, of_request text, bodies text[]) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    update asked set answered_at = now()
        where batch = of_batch and request = of_request and answered_at is null
            and cardinality(bodies) between 1 and parts;
    if not found then
        return false;
    end if;
    insert into result (batch, request, part, body, by)
        select of_batch, of_request, given.part, given.body, session_user
        from unnest(bodies) with ordinality as given(body, part);
    return true;
end $$;

-- Of earlier versions: without a price, without an answer.
drop function if exists intend(text);
drop function if exists settle(text, text);

-- Calls that a provider has in a batch of its own, until it is taken back.
create table if not exists provider_batch (
    id text primary key,
    keys text[] not null,
    made_at timestamptz not null default now(),
    closed_at timestamptz
);

-- The intent of a call, with the most tokens that it may take. `go`: make it. `known`: it was answered, and `said` is
-- the answer. `failed`: it was paid for and gave none, `said` is the reason. `deferred`: a provider has it in a batch.
-- `spent`: nobody knows how it ended.
-- WT001: what a day may cost is spent. Every function takes the day's row first, so that none waits for another in turn.
create or replace function intend_call(call_key text, of_model text, most_in bigint, most_out bigint)
returns table (status text, said text)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
    today date := (now() at time zone 'UTC')::date;
    known call%rowtype;
    cost double precision := 0;
    most bigint := greatest(most_in, 0) + greatest(most_out, 0);
begin
    insert into spend (day, calls) values (today, 0) on conflict do nothing;
    perform 1 from spend where day = today for update;
    select (greatest(most_in, 0) * input + greatest(most_out, 0) * output) / 1e6 into cost
        from price where model = of_model;
    cost := coalesce(cost, 0);
    insert into call (key, by, model, reserved_tokens, reserved_money)
        values (call_key, session_user, of_model, most, cost) on conflict do nothing;
    if not found then
        update call set by = session_user, model = of_model, intended_at = now(), settled_at = null, outcome = null,
                free = false, reserved_tokens = most, reserved_money = cost
            where key = call_key and free;
        if not found then
            select * into known from call where key = call_key;
            return query select
                case when known.outcome is null and exists (
                        select 1 from provider_batch where closed_at is null and call_key = any(keys)) then 'deferred'
                    when known.outcome is null then 'spent' when known.said is null then 'failed' else 'known' end,
                coalesce(known.said, known.outcome, '');
            return;
        end if;
    end if;
    update spend set calls = spend.calls + 1, tokens = spend.tokens + most, money = spend.money + cost
        where day = today
            and spend.calls < coalesce((select value from quota where name = 'calls_per_day'), 0)
            and spend.tokens + most <= coalesce((select value from quota where name = 'tokens_per_day'), 1e18)
            and (spend.money + cost) * 1e6 <= coalesce((select value from quota where name = 'money_per_day'), 1e18);
    if not found then
        raise exception 'what may be spent today is spent' using errcode = 'WT001';
    end if;
    return query select 'go', '';
end $$;

-- How a call ended: once, and only by whoever intended it.
create or replace function settle_call(
    call_key text, how text, was_free boolean, what text, took_in bigint, took_out bigint
) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    mine call%rowtype;
    cost double precision := 0;
begin
    perform 1 from spend where day = (now() at time zone 'UTC')::date for update;
    select * into mine from call where key = call_key and by = session_user and settled_at is null for update;
    if not found then
        return false;
    end if;
    select (greatest(took_in, 0) * input + greatest(took_out, 0) * output) / 1e6 into cost
        from price where price.model = mine.model;
    cost := coalesce(cost, 0);
    update call set settled_at = now(), outcome = how, free = was_free, said = what, money = cost,
            tokens_in = greatest(took_in, 0), tokens_out = greatest(took_out, 0)
        where key = call_key;
    update spend set calls = calls - was_free::int, money = money - mine.reserved_money + cost,
            tokens = tokens - mine.reserved_tokens + greatest(took_in, 0) + greatest(took_out, 0)
        where day = (mine.intended_at at time zone 'UTC')::date;
    return true;
end $$;

-- Procrastinate's functions that a worker calls run with the owner's rights, so that it needs none on its tables.
do $$
declare
    one regprocedure;
begin
    for one in
        select oid::regprocedure from pg_proc
        where pronamespace = 'public'::regnamespace and proname ~
            '^procrastinate_(fetch_job|finish_job|retry_job|(un)?register_worker|update_heartbeat|prune_stalled_workers)_v'
    loop
        execute format('alter function %s security definer set search_path = public, pg_temp', one);
    end loop;
end $$;
