-- What one customer may do and owes (the state), what happened to them (ledger, usage, events), and the registries of what is
-- unique in an environment beyond one customer. The engine is the only writer of all of it.
--
-- No foreign keys among these tables: one writer inserts them together under the customer's lock, and a constraint check a
-- row would cost as much as the row.

create table quotastack.external_ids (
    environment_id uuid not null,
    external_id    text collate "C" not null,
    customer_id    uuid not null,
    constraint external_ids_pkey primary key (environment_id, external_id),
    constraint external_ids_length check (char_length(external_id) between 1 and 255)
);
select quotastack.protect('quotastack.external_ids');

-- Its row is the lock of everything of the customer.
create table quotastack.customers (
    environment_id        uuid        not null,
    id                    uuid        not null,
    external_id           text,
    display_name          text,
    email                 text,
    metadata              jsonb       not null default '{}',
    low_balance_threshold bigint,
    overage_policy        text,
    overage_limit         bigint,
    version               bigint      not null default 0,
    event_sequence        bigint      not null default 0,
    last_entry_at         timestamptz,
    created_at            timestamptz not null,
    updated_at            timestamptz not null,
    deleted_at            timestamptz,
    constraint customers_pkey primary key (environment_id, id),
    constraint customers_overage_policy check (overage_policy in ('block', 'allow', 'notify')),
    constraint customers_version check (version >= 0 and event_sequence >= 0)
) with (fillfactor = 50);
create index customers_by_email on quotastack.customers (environment_id, lower(email) text_pattern_ops);
create index customers_by_name on quotastack.customers (environment_id, lower(display_name) text_pattern_ops);
create index customers_by_external_id on quotastack.customers (environment_id, lower(external_id) text_pattern_ops);
create index customers_by_created_at on quotastack.customers (environment_id, created_at, id);
select quotastack.protect('quotastack.customers');

-- When time will change a customer next; written only when that moves earlier or was met.
create table quotastack.customer_due (
    environment_id uuid        not null,
    customer_id    uuid        not null,
    due_at         timestamptz not null,
    claimed_until  timestamptz,
    constraint customer_due_pkey primary key (environment_id, customer_id)
);
create index customer_due_by_environment on quotastack.customer_due (environment_id, due_at);
create index customer_due_by_due_at on quotastack.customer_due (due_at);
select quotastack.protect('quotastack.customer_due');
select quotastack.open_to_definer('quotastack.customer_due', 'select, update (claimed_until)');

create table quotastack.accounts (
    environment_id      uuid     not null,
    customer_id         uuid     not null,
    unit                text     not null,
    blocks_mc           bigint   not null default 0,
    reserved_mc         bigint   not null default 0,
    overdraft_mc        bigint   not null default 0,
    lifetime_earned_mc  bigint   not null default 0,
    lifetime_spent_mc   bigint   not null default 0,
    lifetime_expired_mc bigint   not null default 0,
    status              text     not null default 'active',
    sequence            bigint   not null default 0,
    hash                bytea    not null default '',
    is_low              boolean  not null default false,
    is_exhausted        boolean  not null default false,
    constraint accounts_pkey primary key (environment_id, customer_id, unit),
    constraint accounts_blocks check (blocks_mc >= 0),
    constraint accounts_reserved check (reserved_mc >= 0),
    constraint accounts_overdraft check (overdraft_mc >= 0),
    constraint accounts_bound check (blocks_mc <= 9007199254740991 and overdraft_mc <= 9007199254740991),
    constraint accounts_status check (status in ('active', 'suspended')),
    constraint accounts_sequence check (sequence >= 0)
) with (fillfactor = 50);
select quotastack.protect('quotastack.accounts');

-- doc holds the terms that never change and the marks that seldom do; the columns win over it.
create table quotastack.blocks (
    environment_id uuid        not null,
    customer_id    uuid        not null,
    id             uuid        not null,
    unit           text        not null,
    original_mc    bigint      not null,
    remaining_mc   bigint      not null,
    priority       bigint      not null,
    effective_at   timestamptz not null,
    expires_at     timestamptz,
    source         text        not null,
    status         text        not null,
    is_live        boolean     not null,
    created_at     timestamptz not null,
    doc            jsonb       not null,
    constraint blocks_pkey primary key (environment_id, customer_id, id),
    constraint blocks_remaining check (remaining_mc >= 0 and remaining_mc <= original_mc),
    constraint blocks_status check (status in ('pending', 'active', 'depleted', 'expired', 'voided')),
    constraint blocks_is_live check (is_live = (status in ('pending', 'active'))),
    constraint blocks_active_has_rest check (not is_live or remaining_mc > 0)
) with (fillfactor = 50);
create index blocks_live on quotastack.blocks (environment_id, customer_id) where is_live;
create index blocks_by_id on quotastack.blocks (environment_id, id);
select quotastack.protect('quotastack.blocks');

create table quotastack.reservations (
    environment_id      uuid        not null,
    customer_id         uuid        not null,
    id                  uuid        not null,
    is_live             boolean     not null,
    status              text        not null,
    billable_metric_key text,
    created_at          timestamptz not null,
    doc                 jsonb       not null,
    constraint reservations_pkey primary key (environment_id, customer_id, id),
    constraint reservations_status check (status in ('active', 'committed', 'released', 'expired'))
) with (fillfactor = 70);
create index reservations_live on quotastack.reservations (environment_id, customer_id) where is_live;
create index reservations_by_id on quotastack.reservations (environment_id, id);
select quotastack.protect('quotastack.reservations');

create table quotastack.counters (
    environment_id      uuid        not null,
    customer_id         uuid        not null,
    billable_metric_key text        not null,
    kind                text        not null,
    period_start        timestamptz not null,
    period_end          timestamptz not null,
    value               bigint      not null,
    max                 bigint,
    overage_units       bigint      not null,
    cost_mc             bigint      not null,
    is_current          boolean     not null,
    details             jsonb       not null default '{}',
    constraint counters_pkey primary key (environment_id, customer_id, billable_metric_key, kind, period_start),
    constraint counters_period check (period_start < period_end)
) with (fillfactor = 50);
create index counters_current on quotastack.counters (environment_id, customer_id) where is_current;
select quotastack.protect('quotastack.counters');

create table quotastack.assets (
    environment_id      uuid  not null,
    customer_id         uuid  not null,
    billable_metric_key text  not null,
    doc                 jsonb not null,
    constraint assets_pkey primary key (environment_id, customer_id, billable_metric_key)
) with (fillfactor = 70);
select quotastack.protect('quotastack.assets');

create table quotastack.overrides (
    environment_id      uuid  not null,
    customer_id         uuid  not null,
    billable_metric_key text  not null,
    doc                 jsonb not null,
    constraint overrides_pkey primary key (environment_id, customer_id, billable_metric_key)
);
select quotastack.protect('quotastack.overrides');

create table quotastack.subscriptions (
    environment_id  uuid        not null,
    customer_id     uuid        not null,
    id              uuid        not null,
    is_live         boolean     not null,
    status          text        not null,
    plan_id         uuid        not null,
    plan_variant_id uuid        not null,
    created_at      timestamptz not null,
    doc             jsonb       not null,
    constraint subscriptions_pkey primary key (environment_id, customer_id, id),
    constraint subscriptions_status
        check (status in ('trialing', 'active', 'overdue', 'paused', 'canceled', 'expired'))
) with (fillfactor = 70);
create index subscriptions_live on quotastack.subscriptions (environment_id, customer_id) where is_live;
create index subscriptions_by_id on quotastack.subscriptions (environment_id, id);
create index subscriptions_by_variant on quotastack.subscriptions (environment_id, plan_variant_id) where is_live;
select quotastack.protect('quotastack.subscriptions');

create table quotastack.auto_topups (
    environment_id uuid  not null,
    customer_id    uuid  not null,
    unit           text  not null,
    doc            jsonb not null,
    constraint auto_topups_pkey primary key (environment_id, customer_id, unit)
);
select quotastack.protect('quotastack.auto_topups');

create table quotastack.payment_ids (
    environment_id      uuid not null,
    external_payment_id text collate "C" not null,
    block_id            uuid not null,
    customer_id         uuid not null,
    constraint payment_ids_pkey primary key (environment_id, external_payment_id)
);
select quotastack.protect('quotastack.payment_ids', 'select, insert');

-- Append-only: no right to change a line is granted to the server, and the trigger refuses it to everyone.
create table quotastack.ledger_entries (
    environment_id uuid        not null,
    customer_id    uuid        not null,
    unit           text        not null,
    sequence       bigint      not null,
    id             uuid        not null,
    type           text        not null,
    delta          bigint      not null,
    reserved_delta bigint      not null,
    balance_after  bigint      not null,
    reserved_after bigint      not null,
    blocks         jsonb       not null,
    reference_type text,
    reference_id   text,
    request_id     text,
    actor          text        not null,
    occurred_at    timestamptz not null,
    created_at     timestamptz not null,
    details        jsonb,
    texts_digest   bytea       not null,
    hash           bytea       not null,
    constraint ledger_entries_pkey primary key (environment_id, customer_id, unit, sequence),
    constraint ledger_entries_sequence check (sequence > 0),
    constraint ledger_entries_hash check (octet_length(hash) = 32)
);
select quotastack.protect('quotastack.ledger_entries', 'select, insert');

create function quotastack.refuse_ledger_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'the ledger is append-only' using errcode = 'insufficient_privilege';
end
$$;
create trigger ledger_entries_append_only
    before update or delete on quotastack.ledger_entries
    for each row execute function quotastack.refuse_ledger_change();
create trigger ledger_entries_no_truncate
    before truncate on quotastack.ledger_entries
    for each statement execute function quotastack.refuse_ledger_change();

-- Texts beside the ledger: erasable, while the entry keeps their salted digest. The texts of a usage entry stand on its usage
-- event (text_salt, idempotency_key) and not here.
create table quotastack.ledger_texts (
    environment_id  uuid   not null,
    customer_id     uuid   not null,
    unit            text   not null,
    sequence        bigint not null,
    salt            bytea  not null,
    idempotency_key text,
    reason          text,
    metadata        jsonb,
    constraint ledger_texts_pkey primary key (environment_id, customer_id, unit, sequence)
);
select quotastack.protect('quotastack.ledger_texts', 'select, insert');

create table quotastack.usage_events (
    environment_id      uuid        not null,
    customer_id         uuid        not null,
    id                  uuid        not null,
    billable_metric_key text        not null,
    status              text        not null,
    units               bigint      not null,
    value               bigint,
    cost                bigint      not null,
    unit                text        not null,
    overage             bigint      not null,
    draws               jsonb       not null,
    rule_id             uuid,
    reservation_id      uuid,
    timestamp           timestamptz not null,
    dimensions          jsonb       not null,
    metadata            jsonb       not null,
    idempotency_key     text,
    text_salt           bytea,
    ledger_sequence     bigint,
    details             jsonb       not null,
    created_at          timestamptz not null,
    constraint usage_events_pkey primary key (environment_id, customer_id, id)
) with (fillfactor = 95);
create index usage_events_by_id on quotastack.usage_events (environment_id, id);
select quotastack.protect('quotastack.usage_events');

create table quotastack.events (
    environment_id uuid        not null,
    customer_id    uuid        not null,
    sequence       bigint      not null,
    id             uuid        not null,
    type           text        not null,
    data           jsonb       not null,
    request_id     text,
    created_at     timestamptz not null,
    constraint events_pkey primary key (environment_id, customer_id, sequence),
    constraint events_sequence check (sequence > 0)
);
create index events_by_id on quotastack.events (environment_id, id);
create index events_by_created_at on quotastack.events (environment_id, created_at, id);
select quotastack.protect('quotastack.events', 'select, insert, delete');

-- The rows of a batch, as the engine sends them: one array of rows for each table. An array for each column, eighty of them,
-- cost the database a scan each and the driver a search each.
create type quotastack.customer_change as (id uuid, version bigint, event_sequence bigint, last_entry_at timestamptz);
create type quotastack.account_change as (
    customer_id uuid, unit text, blocks_mc bigint, reserved_mc bigint, overdraft_mc bigint, lifetime_earned_mc bigint,
    lifetime_spent_mc bigint, lifetime_expired_mc bigint, status text, sequence bigint, hash bytea, is_low boolean,
    is_exhausted boolean
);
create type quotastack.block_change as (customer_id uuid, id uuid, remaining_mc bigint, status text);
create type quotastack.counter_change as (
    customer_id uuid, billable_metric_key text, kind text, period_start timestamptz, period_end timestamptz, value bigint,
    max bigint, overage_units bigint, cost_mc bigint, is_current boolean, details jsonb
);
create type quotastack.new_ledger_entry as (
    customer_id uuid, unit text, sequence bigint, id uuid, type text, delta bigint, reserved_delta bigint,
    balance_after bigint, reserved_after bigint, blocks jsonb, reference_type text, reference_id text, request_id text,
    actor text, occurred_at timestamptz, created_at timestamptz, details jsonb, texts_digest bytea, hash bytea
);
create type quotastack.new_usage_event as (
    customer_id uuid, id uuid, billable_metric_key text, status text, units bigint, value bigint, cost bigint, unit text,
    overage bigint, draws jsonb, rule_id uuid, reservation_id uuid, "timestamp" timestamptz, dimensions jsonb,
    metadata jsonb, idempotency_key text, text_salt bytea, ledger_sequence bigint, details jsonb, created_at timestamptz
);
create type quotastack.new_idempotency_key as (
    key_digest bytea, key text, fingerprint bytea, status smallint, body bytea, customer_id uuid, is_money boolean,
    created_at timestamptz
);
grant usage on type quotastack.customer_change, quotastack.account_change, quotastack.block_change,
    quotastack.counter_change, quotastack.new_ledger_entry, quotastack.new_usage_event, quotastack.new_idempotency_key
    to qs_app;

-- The first word of a batch in one environment: everything that must be read after a lock is read after it. Each statement of
-- a volatile function sees what was committed before that statement, so the keys are those of the lock's last owner too.
create function quotastack.open_batch(customer_ids uuid[], key_digests bytea[])
returns table (
    environment_version bigint, now timestamptz,
    locked_ids text[], locked_versions bigint[],
    found_digests bytea[], found_fingerprints bytea[], found_statuses smallint[], found_bodies bytea[]
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    own_environment_id uuid := current_setting('quotastack.environment_id')::uuid;
begin
    perform pg_advisory_xact_lock_shared(quotastack.environment_lock_key(own_environment_id));
    select e.version into environment_version from quotastack.environments as e where e.id = own_environment_id;
    select array_agg(locked.id), array_agg(locked.version) into locked_ids, locked_versions
      from (select c.id::text as id, c.version
              from quotastack.customers as c
             where c.environment_id = own_environment_id and c.id = any (customer_ids)
             order by c.environment_id, c.id
               for no key update) as locked;
    if cardinality(key_digests) > 0 then
        select array_agg(k.key_digest), array_agg(k.fingerprint), array_agg(k.status), array_agg(k.body)
          into found_digests, found_fingerprints, found_statuses, found_bodies
          from quotastack.idempotency_keys as k
         where k.environment_id = own_environment_id and k.key_digest = any (key_digests);
    end if;
    now := clock_timestamp();
    return next;
end
$$;
grant execute on function quotastack.open_batch(uuid[], bytea[]) to qs_app;

-- Customers for whom time has something to do, claimed so that several processes do not all try. The claim only saves work:
-- the customer's lock decides. Environments whose test clock was moved are looked at one by one, all others in one range.
create function quotastack.claim_due_customers(claims_max integer, claim_seconds integer)
returns table (environment_id uuid, tenant_id uuid, environment text, customer_id uuid)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with due as (
        (select d.environment_id, d.customer_id
           from quotastack.customer_due as d
           join quotastack.environments as e on e.id = d.environment_id
          where d.due_at <= clock_timestamp()
            and e.clock_frozen_at is null and e.clock_offset_us = 0 and e.retired_at is null
            and (d.claimed_until is null or d.claimed_until < clock_timestamp())
          order by d.due_at
          limit claims_max)
        union all
        (select d.environment_id, d.customer_id
           from quotastack.environments as e
           join quotastack.customer_due as d on d.environment_id = e.id
            and d.due_at <= coalesce(
                e.clock_frozen_at, clock_timestamp() + e.clock_offset_us * interval '1 microsecond')
          where (e.clock_frozen_at is not null or e.clock_offset_us <> 0) and e.retired_at is null
            and (d.claimed_until is null or d.claimed_until < clock_timestamp())
          limit claims_max)
    ), claimed as (
        select d.environment_id, d.customer_id
          from quotastack.customer_due as d
          join due using (environment_id, customer_id)
         order by d.environment_id, d.customer_id
         limit claims_max
           for update of d skip locked
    ), marked as (
        update quotastack.customer_due as d
           set claimed_until = clock_timestamp() + claim_seconds * interval '1 second'
          from claimed as c
         where d.environment_id = c.environment_id and d.customer_id = c.customer_id
        returning d.environment_id, d.customer_id
    )
    select m.environment_id, e.tenant_id, e.environment, m.customer_id
      from marked as m
      join quotastack.environments as e on e.id = m.environment_id
$$;
select quotastack.hand_to_definer('quotastack.claim_due_customers(integer, integer)');
