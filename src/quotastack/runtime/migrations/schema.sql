-- The schema and the list of applied migrations. Runs before the numbered files, every time, and changes nothing when all
-- is there. Runs as the login of QUOTASTACK_DATABASE_URL.

do $$
begin
    if not exists (select from pg_namespace where nspname = 'quotastack') then
        create schema quotastack authorization qs_owner;
    end if;
    if to_regclass('quotastack.schema_migrations') is null then
        set local role qs_owner;
        create table quotastack.schema_migrations (
            number     integer     not null,
            name       text        not null,
            checksum   bytea       not null,
            applied_at timestamptz not null default now(),
            constraint schema_migrations_pkey primary key (number)
        );
        -- No tenant data: the server may read it, to know whether the schema is the one it was written for.
        alter table quotastack.schema_migrations enable row level security;
        alter table quotastack.schema_migrations force row level security;
        create policy owner_all on quotastack.schema_migrations for all to qs_owner using (true) with check (true);
        create policy app_read on quotastack.schema_migrations for all to qs_app using (true) with check (false);
        grant select on quotastack.schema_migrations to qs_app;
        grant usage on schema quotastack to qs_app, qs_definer;
        reset role;
    end if;
end
$$;
