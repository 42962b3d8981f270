-- Tenants, their environments and keys, idempotency keys, audit log; and the helpers that every later migration uses.

revoke all on schema quotastack from public;
alter default privileges for role qs_owner revoke all on tables from public;
alter default privileges for role qs_owner revoke all on sequences from public;
alter default privileges for role qs_owner revoke execute on functions from public;

-- The one policy of tenant data. Rows are visible and writable only where they belong to the environment of the transaction;
-- with none set, current_setting raises. No sub-select: a distributed PostgreSQL (Citus) refuses those in policies.
--   grants: what qs_app may do, as in GRANT, column lists included: 'select, insert (id, name)'.
create function quotastack.protect(
    protected_table regclass,
    grants text default 'select, insert, update, delete',
    key_column name default 'environment_id'
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('alter table %s enable row level security', protected_table);
    execute format('alter table %s force row level security', protected_table);
    execute format(
        'create policy environment on %s for all to qs_app '
        'using (%I = current_setting(''quotastack.environment_id'')::uuid) '
        'with check (%I = current_setting(''quotastack.environment_id'')::uuid)',
        protected_table, key_column, key_column
    );
    execute format('revoke all on %s from public', protected_table);
    execute format('grant %s on %s to qs_app', grants, protected_table);
end
$$;

-- Let the functions of qs_definer see all rows of a table, for the grants named ('select, update (last_used_at)').
create function quotastack.open_to_definer(opened_table regclass, grants text default 'select') returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format('create policy definer on %s for all to qs_definer using (true) with check (true)', opened_table);
    execute format('grant %s on %s to qs_definer', grants, opened_table);
end
$$;

-- Make a function one of the few that look across environments: owned by qs_definer, run with its rights, callable by the
-- server only. It must be SECURITY DEFINER with a fixed search_path; the catalogue lint holds that.
create function quotastack.hand_to_definer(handed_function regprocedure) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    grant create on schema quotastack to qs_definer;
    execute format('revoke all on function %s from public', handed_function);
    execute format('grant execute on function %s to qs_app', handed_function);
    execute format('alter function %s owner to qs_definer', handed_function);
    revoke create on schema quotastack from qs_definer;
end
$$;

-- What belongs to the installation: which secret it was made with, and the secret itself where no one else keeps it.
create table quotastack.installation (
    is_only            boolean not null default true,
    secret             bytea,
    secret_fingerprint bytea   not null,
    constraint installation_pkey primary key (is_only),
    constraint installation_is_only check (is_only)
);
alter table quotastack.installation enable row level security;
alter table quotastack.installation force row level security;
create policy owner_all on quotastack.installation for all to qs_owner using (true) with check (true);

create table quotastack.tenants (
    id         uuid        not null,
    name       text        not null,
    created_at timestamptz not null,
    constraint tenants_pkey primary key (id),
    constraint tenants_name_length check (char_length(name) between 1 and 255)
);
alter table quotastack.tenants enable row level security;
alter table quotastack.tenants force row level security;
select quotastack.open_to_definer('quotastack.tenants', 'select, insert');

-- version is raised by every change of catalog, config or clock: whoever caches any of them compares it. Its writers hold
-- the environment's advisory lock exclusively, deciders hold it shared (environment_lock_key).
create table quotastack.environments (
    id              uuid        not null,
    tenant_id       uuid        not null,
    environment     text        not null,
    config          jsonb       not null default '{}',
    version         bigint      not null default 1,
    catalog_version bigint      not null default 1,
    clock_frozen_at timestamptz,
    clock_offset_us bigint      not null default 0,
    created_at      timestamptz not null,
    retired_at      timestamptz,
    constraint environments_pkey primary key (id),
    constraint environments_environment check (environment in ('live', 'test')),
    constraint environments_clock check (environment = 'test' or (clock_frozen_at is null and clock_offset_us = 0)),
    constraint environments_config check (jsonb_typeof(config) = 'object')
);
create index environments_by_tenant on quotastack.environments (tenant_id);
select quotastack.protect(
    'quotastack.environments',
    'select, update (config, version, catalog_version, clock_frozen_at, clock_offset_us)',
    'id'
);
select quotastack.open_to_definer('quotastack.environments', 'select, insert, update (retired_at)');

-- The key of the advisory lock of an environment: the random tail of its id.
create function quotastack.environment_lock_key(environment_id uuid) returns bigint
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return ('x' || right(replace(environment_id::text, '-', ''), 16))::bit(64)::bigint;
grant execute on function quotastack.environment_lock_key(uuid) to qs_app;

create table quotastack.api_keys (
    environment_id uuid        not null,
    id             uuid        not null,
    key_id         text        not null,
    secret_hash    bytea       not null,
    name           text        not null,
    scopes         text[]      not null default '{}',
    created_at     timestamptz not null,
    last_used_at   timestamptz,
    revoked_at     timestamptz,
    constraint api_keys_pkey primary key (environment_id, id),
    constraint api_keys_key_id unique (environment_id, key_id),
    constraint api_keys_key_id_length check (char_length(key_id) = 10),
    constraint api_keys_secret_hash_length check (octet_length(secret_hash) = 32),
    constraint api_keys_name_length check (char_length(name) between 1 and 255)
);
create index api_keys_by_key_id on quotastack.api_keys (key_id);
select quotastack.protect('quotastack.api_keys', 'select, insert, update (revoked_at)');
select quotastack.open_to_definer('quotastack.api_keys', 'select, update (environment_id, last_used_at)');

-- Once per key, for ever where money moved. The answer may be cleared after the retention; the digest stays.
create table quotastack.idempotency_keys (
    environment_id uuid        not null,
    key_digest     bytea       not null,
    key            text,
    fingerprint    bytea       not null,
    status         smallint,
    body           bytea,
    customer_id    uuid,
    is_money       boolean     not null,
    created_at     timestamptz not null,
    constraint idempotency_keys_pkey primary key (environment_id, key_digest),
    constraint idempotency_keys_digest_length check (octet_length(key_digest) = 32),
    constraint idempotency_keys_fingerprint_length check (octet_length(fingerprint) = 32)
) with (fillfactor = 95);
select quotastack.protect('quotastack.idempotency_keys');

create table quotastack.audit_log (
    environment_id uuid        not null,
    id             uuid        not null,
    created_at     timestamptz not null,
    actor          text        not null,
    key_id         text,
    action         text        not null,
    object_type    text        not null,
    object_id      text        not null,
    before         jsonb,
    after          jsonb,
    request_id     text        not null,
    constraint audit_log_pkey primary key (environment_id, id)
);
select quotastack.protect('quotastack.audit_log', 'select, insert');

-- Functions that look across environments -----------------------------------------------------------------------------

-- Login: the environment is not known yet. A miss returns no row.
create function quotastack.lookup_api_key(wanted_key_id text)
returns table (
    id uuid, environment_id uuid, tenant_id uuid, environment text, secret_hash bytea, scopes text[], revoked_at timestamptz
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select k.id, k.environment_id, e.tenant_id, e.environment, k.secret_hash, k.scopes, k.revoked_at
      from quotastack.api_keys as k
      join quotastack.environments as e on e.id = k.environment_id
     where k.key_id = wanted_key_id
$$;
select quotastack.hand_to_definer('quotastack.lookup_api_key(text)');

-- last_used_at of many keys at once, out of the requests' way. Never moves back.
create function quotastack.touch_api_keys(used_environment_ids uuid[], used_ids uuid[], used_at timestamptz[]) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    update quotastack.api_keys as k
       set last_used_at = used.at
      from unnest(used_environment_ids, used_ids, used_at) as used (environment_id, id, at)
     where k.environment_id = used.environment_id
       and k.id = used.id
       and (k.last_used_at is null or k.last_used_at < used.at)
$$;
select quotastack.hand_to_definer('quotastack.touch_api_keys(uuid[], uuid[], timestamptz[])');

create function quotastack.create_tenant(
    new_tenant_id uuid, new_name text, new_live_id uuid, new_test_id uuid, at timestamptz
) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into quotastack.tenants (id, name, created_at) values (new_tenant_id, new_name, at);
    insert into quotastack.environments (id, tenant_id, environment, created_at)
    values (new_live_id, new_tenant_id, 'live', at), (new_test_id, new_tenant_id, 'test', at);
$$;
select quotastack.hand_to_definer('quotastack.create_tenant(uuid, text, uuid, uuid, timestamptz)');

-- A new, empty test environment in place of the transaction's own one; its keys move along. The caller holds the advisory
-- lock of the old one. Raises no_data_found unless the old one is a test environment that is still in use.
create function quotastack.reset_test_environment(new_id uuid, at timestamptz) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    old_id uuid := current_setting('quotastack.environment_id')::uuid;
    owner_tenant_id uuid;
begin
    update quotastack.environments
       set retired_at = at
     where id = old_id and environment = 'test' and retired_at is null
    returning tenant_id into strict owner_tenant_id;
    insert into quotastack.environments (id, tenant_id, environment, created_at)
    values (new_id, owner_tenant_id, 'test', at);
    update quotastack.api_keys set environment_id = new_id where environment_id = old_id;
end
$$;
select quotastack.hand_to_definer('quotastack.reset_test_environment(uuid, timestamptz)');

-- Every environment in use, for commands that visit them one after the other.
create function quotastack.list_environments()
returns table (id uuid, tenant_id uuid, tenant_name text, environment text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select e.id, e.tenant_id, t.name, e.environment
      from quotastack.environments as e
      join quotastack.tenants as t on t.id = e.tenant_id
     where e.retired_at is null
     order by e.id
$$;
select quotastack.hand_to_definer('quotastack.list_environments()');
