-- The roles of the server. Safe to run again, and to be run again after an upgrade.

do $$ begin
    if not exists (select from pg_roles where rolname = :tower_text:) then create role :tower: login; end if;
    if not exists (select from pg_roles where rolname = :worker_text:) then create role :worker: login; end if;
    if not exists (select from pg_roles where rolname = :viewer_text:) then create role :viewer: login; end if;
    -- Who is no superuser must be a member to hand things over.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant %I to %I', :tower_text:, current_user);
    end if;
end $$;

alter role :tower: nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
alter role :worker: nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit :connections:;
alter role :viewer: nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit :connections:;

-- A session may change these for itself: they are habits, not walls. The walls are the rights below.
alter role :worker: set statement_timeout = '60s';
alter role :worker: set lock_timeout = '5s';
alter role :worker: set idle_in_transaction_session_timeout = '60s';
alter role :viewer: set statement_timeout = '60s';
alter role :viewer: set idle_in_transaction_session_timeout = '60s';
alter role :viewer: set default_transaction_read_only = on;

do $$ begin
    -- This one no session may change: how much a query may spill to disk.
    execute format('alter role %I set temp_file_limit = ''64MB''', :worker_text:);
exception when insufficient_privilege then
    raise warning 'temp_file_limit is not set: only a superuser may';
end $$;

revoke all on database :core: from public;
revoke all on database :jobs: from public;
grant connect, create, temporary on database :core: to :tower:;
grant connect, create, temporary on database :jobs: to :tower:;
grant connect on database :core: to :viewer:;
grant connect on database :jobs: to :worker:;
revoke connect on database :core: from :worker:;
do $$ begin
    revoke connect, temporary on database postgres, template1 from public;
exception when insufficient_privilege then
    raise warning 'postgres and template1 stay open to every role: only their owner may shut them';
end $$;
-- ====
-- In the core's database.

revoke all on schema public from public, :worker:;
grant usage, create on schema public to :tower:;
grant usage on schema public to :viewer:;

do $$
declare
    one text;
begin
    for one in
        select format('alter %s %s owner to %I',
            case relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
            c.oid::regclass, :tower_text:)
        from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'S', 'v', 'm')
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i'))
        union all
        select format('alter routine %s owner to %I', oid::regprocedure, :tower_text:)
        from pg_proc where pronamespace = 'public'::regnamespace
    loop
        execute one;
    end loop;
    for one in
        select format('grant select on %s to %I', oid::regclass, :viewer_text:) from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname = any(:viewed:)
    loop
        execute one;
    end loop;
end $$;
-- ====
-- In the jobs database.

revoke all on schema public from public, :viewer:;
grant usage, create on schema public to :tower:;
grant usage on schema public to :worker:;

do $$
declare
    one text;
begin
    for one in
        select format('alter %s %s owner to %I', case relkind when 'S' then 'sequence' else 'table' end,
            c.oid::regclass, :tower_text:)
        from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'S')
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i'))
        union all
        select format('alter routine %s owner to %I', oid::regprocedure, :tower_text:)
        from pg_proc where pronamespace = 'public'::regnamespace
        union all
        select format('alter type %s owner to %I', t.oid::regtype, :tower_text:)
        from pg_type t left join pg_class c on c.oid = t.typrelid
        where typnamespace = 'public'::regnamespace and (typtype = 'e' or (typtype = 'c' and c.relkind = 'c'))
    loop
        execute one;
    end loop;
end $$;

revoke all on all tables in schema public from public, :worker:;
revoke all on all sequences in schema public from public, :worker:;
revoke execute on all functions in schema public from public, :worker:;
alter default privileges for role :tower: revoke execute on functions from public;
grant select on :read: to :worker:;
grant select (id, status, abort_requested, queue_name) on procrastinate_jobs to :worker:;

do $$
declare
    one regprocedure;
begin
    for one in select oid from pg_proc where pronamespace = 'public'::regnamespace and proname ~ :called: loop
        execute format('grant execute on function %s to %I', one, :worker_text:);
    end loop;
    -- What no role of this database needs: blocks of code, and functions that reach beyond the database.
    for one in select oid from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ :kept: loop
        execute format('revoke execute on function %s from public', one);
        execute format('grant execute on function %s to %I', one, :tower_text:);
    end loop;
    revoke usage on language plpgsql from public;
    revoke usage on language sql from public;
    grant usage on language plpgsql to :tower:;
    grant usage on language sql to :tower:;
exception when insufficient_privilege then
    raise warning 'some functions of the server stay open to every role: only a superuser may shut them';
end $$;
