-- One call for all that a usual batch writes, so that the writes need no transaction around them when nothing else belongs
-- to it: four round trips become one.

create type quotastack.hold_change as (
    customer_id uuid, id uuid, is_live boolean, status text, billable_metric_key text, created_at timestamptz, doc jsonb
);
create type quotastack.new_event as (
    customer_id uuid, sequence bigint, id uuid, type text, data jsonb, request_id text, created_at timestamptz
);
create type quotastack.due_change as (customer_id uuid, due_at timestamptz);
grant usage on type quotastack.hold_change, quotastack.new_event, quotastack.due_change to qs_app;

-- What was decided about customers whose rows are locked. Each array holds the rows of one table; no row here can be another's
-- at the same time. The keys' primary key settles what locks cannot: a key that two customers' commands use.
create function quotastack.write_batch(
    own_environment_id uuid, customer_changes quotastack.customer_change[], account_changes quotastack.account_change[],
    block_changes quotastack.block_change[], counter_changes quotastack.counter_change[],
    ledger_entries quotastack.new_ledger_entry[], usage_events quotastack.new_usage_event[],
    idempotency_keys quotastack.new_idempotency_key[], hold_changes quotastack.hold_change[],
    new_events quotastack.new_event[], due_changes quotastack.due_change[], notices text[]
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    notice text;
begin
    with customer_rows as (
        update quotastack.customers as c
           set version = u.version, event_sequence = u.event_sequence, last_entry_at = u.last_entry_at
          from unnest(customer_changes) as u
         where c.environment_id = own_environment_id and c.id = u.id
    ), account_rows as (
        update quotastack.accounts as a
           set blocks_mc = u.blocks_mc, reserved_mc = u.reserved_mc, overdraft_mc = u.overdraft_mc,
               lifetime_earned_mc = u.lifetime_earned_mc, lifetime_spent_mc = u.lifetime_spent_mc,
               lifetime_expired_mc = u.lifetime_expired_mc, status = u.status,
               sequence = u.sequence, hash = u.hash, is_low = u.is_low, is_exhausted = u.is_exhausted
          from unnest(account_changes) as u
         where a.environment_id = own_environment_id and a.customer_id = u.customer_id and a.unit = u.unit
    ), block_rows as (
        update quotastack.blocks as b
           set remaining_mc = u.remaining_mc, status = u.status,
               is_live = u.status in ('pending', 'active')
          from unnest(block_changes) as u
         where b.environment_id = own_environment_id and b.customer_id = u.customer_id and b.id = u.id
    ), ledger_rows as (
        insert into quotastack.ledger_entries (environment_id, customer_id, unit, sequence, id, type, delta,
               reserved_delta, balance_after, reserved_after, blocks, reference_type, reference_id,
               request_id, actor, occurred_at, created_at, details, texts_digest, hash)
        select own_environment_id, u.* from unnest(ledger_entries) as u
    ), usage_rows as (
        insert into quotastack.usage_events (environment_id, customer_id, id, billable_metric_key, status,
               units, value, cost, unit, overage, draws, rule_id, reservation_id, timestamp,
               dimensions, metadata, idempotency_key, text_salt, ledger_sequence, details, created_at)
        select own_environment_id, u.* from unnest(usage_events) as u
    )
    insert into quotastack.idempotency_keys (environment_id, key_digest, key, fingerprint, status, body,
           customer_id, is_money, created_at)
    select own_environment_id, u.* from unnest(idempotency_keys) as u;
    if cardinality(counter_changes) > 0 then
        insert into quotastack.counters as n (environment_id, customer_id, billable_metric_key, kind, period_start, period_end,
               value, max, overage_units, cost_mc, is_current, details)
        select own_environment_id, u.* from unnest(counter_changes) as u
            on conflict (environment_id, customer_id, billable_metric_key, kind, period_start)
            do update set period_end = excluded.period_end, value = excluded.value, max = excluded.max,
               overage_units = excluded.overage_units, cost_mc = excluded.cost_mc,
               is_current = excluded.is_current, details = excluded.details;
    end if;
    if cardinality(due_changes) > 0 then
        insert into quotastack.customer_due as d (environment_id, customer_id, due_at)
        select own_environment_id, u.* from unnest(due_changes) as u
            on conflict (environment_id, customer_id)
            do update set due_at = excluded.due_at, claimed_until = null;
    end if;
    if cardinality(hold_changes) > 0 then
        insert into quotastack.reservations as r (environment_id, customer_id, id, is_live, status,
               billable_metric_key, created_at, doc)
        select own_environment_id, u.* from unnest(hold_changes) as u
            on conflict (environment_id, customer_id, id)
            do update set is_live = excluded.is_live, status = excluded.status, doc = excluded.doc;
    end if;
    if cardinality(new_events) > 0 then
        insert into quotastack.events (environment_id, customer_id, sequence, id, type, data, request_id, created_at)
        select own_environment_id, u.* from unnest(new_events) as u;
    end if;
    foreach notice in array notices loop
        perform pg_notify('quotastack_customers', notice);
    end loop;
end
$$;
grant execute on function quotastack.write_batch(uuid, quotastack.customer_change[], quotastack.account_change[],
    quotastack.block_change[], quotastack.counter_change[], quotastack.new_ledger_entry[], quotastack.new_usage_event[],
    quotastack.new_idempotency_key[], quotastack.hold_change[], quotastack.new_event[],
    quotastack.due_change[], text[]) to qs_app;

-- The same for what was decided on remembered states, as a transaction of its own: enter the environment, take the locks that
-- open_batch takes, in its order, and write only if the environment and every customer are still of the version that was
-- decided on, and no key of a refused command is known: that command would have been a replay. (A known key of another one
-- is a unique violation.) False: something changed meanwhile, nothing was written. Sets the environment by SET LOCAL for the rest of the
-- transaction, which is this call.
create function quotastack.write_known_batch(
    own_environment_id uuid, known_environment_version bigint, customer_ids uuid[], known_versions bigint[],
    refused_digests bytea[],
    customer_changes quotastack.customer_change[], account_changes quotastack.account_change[],
    block_changes quotastack.block_change[], counter_changes quotastack.counter_change[],
    ledger_entries quotastack.new_ledger_entry[], usage_events quotastack.new_usage_event[],
    idempotency_keys quotastack.new_idempotency_key[], hold_changes quotastack.hold_change[],
    new_events quotastack.new_event[], due_changes quotastack.due_change[], notices text[]
)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    environment_version bigint;
    found_versions bigint[];
begin
    execute format('set local quotastack.environment_id = %L', own_environment_id);
    perform pg_advisory_xact_lock_shared(quotastack.environment_lock_key(own_environment_id));
    select e.version into environment_version from quotastack.environments as e where e.id = own_environment_id;
    if environment_version is distinct from known_environment_version then
        return false;
    end if;
    select array_agg(locked.version) into found_versions
      from (select c.version
              from quotastack.customers as c
             where c.environment_id = own_environment_id and c.id = any (customer_ids)
             order by c.environment_id, c.id
               for no key update) as locked;
    if found_versions is distinct from known_versions then
        return false;
    end if;
    if cardinality(refused_digests) > 0 and exists (
        select from quotastack.idempotency_keys as k
         where k.environment_id = own_environment_id and k.key_digest = any (refused_digests)
    ) then
        return false;
    end if;
    perform quotastack.write_batch(
        own_environment_id, customer_changes, account_changes, block_changes, counter_changes, ledger_entries, usage_events,
        idempotency_keys, hold_changes, new_events, due_changes, notices);
    return true;
end
$$;
grant execute on function quotastack.write_known_batch(uuid, bigint, uuid[], bigint[], bytea[], quotastack.customer_change[],
    quotastack.account_change[], quotastack.block_change[], quotastack.counter_change[], quotastack.new_ledger_entry[],
    quotastack.new_usage_event[], quotastack.new_idempotency_key[], quotastack.hold_change[], quotastack.new_event[],
    quotastack.due_change[], text[]) to qs_app;
