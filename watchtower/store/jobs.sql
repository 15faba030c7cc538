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

-- A worker's answer to one request of a batch. False: nobody asked, or it is answered already.
create or replace function answer(of_batch text, of_request text, bodies text[]) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
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

-- The intent of a paid call. False: it was intended before, and must not be made. WT001: today's calls are spent.
create or replace function intend(call_key text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into call (key, by) values (call_key, session_user) on conflict do nothing;
    if not found then
        return false;
    end if;
    insert into spend (day, calls) select (now() at time zone 'UTC')::date, 1
        where coalesce((select value from quota where name = 'calls_per_day'), 0) > 0
        on conflict (day) do update set calls = spend.calls + 1
        where spend.calls < (select value from quota where name = 'calls_per_day');
    if not found then
        raise exception 'the calls of today are spent' using errcode = 'WT001';
    end if;
    return true;
end $$;

-- How a call ended: once, and only by whoever intended it.
create or replace function settle(call_key text, how text) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
begin
    update call set settled_at = now(), outcome = how
        where key = call_key and by = session_user and settled_at is null;
    return found;
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
