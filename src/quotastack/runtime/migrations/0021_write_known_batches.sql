-- Writes that are told what is there already. A batch carries the versions that it was decided on to the customers' rows
-- themselves, where the update is the lock, the comparison and the write in one; a counter that was loaded is updated, and only
-- one that may be new is inserted. And one call writes any number of environments, one after the other, each entered by itself.
--
-- The functions of 0012 stay for processes of the version before.

-- A customer's new version, beside the one that it was decided on.
create type quotastack.customer_step as (
    id uuid, known_version bigint, version bigint, event_sequence bigint, last_entry_at timestamptz
);
-- What a batch writes in one environment: for each table an array of rows, see quotastack.write_part.
create type quotastack.batch_part as (
    environment_id uuid, environment_version bigint, refused_digests bytea[], idle quotastack.customer_step[],
    customers quotastack.customer_step[], accounts quotastack.account_change[], blocks quotastack.block_change[],
    counters quotastack.counter_change[], new_counters quotastack.counter_change[],
    ledger_entries quotastack.new_ledger_entry[], usage_events quotastack.new_usage_event[],
    idempotency_keys quotastack.new_idempotency_key[], holds quotastack.hold_change[], new_events quotastack.new_event[],
    dues quotastack.due_change[], notices text[]
);
grant usage on type quotastack.customer_step, quotastack.batch_part to qs_app;

-- What was decided about the customers of one environment, which has been entered. The customers come ascending by id, and so
-- their rows are locked. Each array holds the rows of one table; no row here can be another's at the same time. The keys'
-- primary key settles what locks cannot: a key that two customers' commands use.
--
-- Raises serialization_failure when a customer is not of the version that was decided on any more, or a counter that was loaded
-- is not there: what was decided does not hold.
create function quotastack.write_part(part quotastack.batch_part) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    own_environment_id uuid := part.environment_id;
    written bigint;
    notice text;
begin
    if cardinality(part.idle) > 0 then
        -- Customers about whom nothing changes are locked and compared only; all locks are taken in one order.
        select count(*) into written
          from (select c.id, c.version
                  from quotastack.customers as c
                 where c.environment_id = own_environment_id
                   and c.id = any (array(select u.id from unnest(part.customers || part.idle) as u))
                 order by c.environment_id, c.id
                   for no key update) as locked
          join unnest(part.idle) as u on u.id = locked.id and u.known_version = locked.version;
        if written <> cardinality(part.idle) then
            raise serialization_failure using message = 'a customer has moved on';
        end if;
    end if;
    update quotastack.customers as c
       set version = u.version, event_sequence = u.event_sequence, last_entry_at = u.last_entry_at
      from unnest(part.customers) as u
     where c.environment_id = own_environment_id and c.id = u.id and c.version = u.known_version;
    get diagnostics written = row_count;
    if written <> cardinality(part.customers) then
        raise serialization_failure using message = 'a customer has moved on';
    end if;
    with account_rows as (
        update quotastack.accounts as a
           set blocks_mc = u.blocks_mc, reserved_mc = u.reserved_mc, overdraft_mc = u.overdraft_mc,
               lifetime_earned_mc = u.lifetime_earned_mc, lifetime_spent_mc = u.lifetime_spent_mc,
               lifetime_expired_mc = u.lifetime_expired_mc, status = u.status,
               sequence = u.sequence, hash = u.hash, is_low = u.is_low, is_exhausted = u.is_exhausted
          from unnest(part.accounts) as u
         where a.environment_id = own_environment_id and a.customer_id = u.customer_id and a.unit = u.unit
    ), block_rows as (
        update quotastack.blocks as b
           set remaining_mc = u.remaining_mc, status = u.status,
               is_live = u.status in ('pending', 'active')
          from unnest(part.blocks) as u
         where b.environment_id = own_environment_id and b.customer_id = u.customer_id and b.id = u.id
    ), ledger_rows as (
        insert into quotastack.ledger_entries (environment_id, customer_id, unit, sequence, id, type, delta,
               reserved_delta, balance_after, reserved_after, blocks, reference_type, reference_id,
               request_id, actor, occurred_at, created_at, details, texts_digest, hash)
        select own_environment_id, u.* from unnest(part.ledger_entries) as u
    ), usage_rows as (
        insert into quotastack.usage_events (environment_id, customer_id, id, billable_metric_key, status,
               units, value, cost, unit, overage, draws, rule_id, reservation_id, timestamp,
               dimensions, metadata, idempotency_key, text_salt, ledger_sequence, details, created_at)
        select own_environment_id, u.* from unnest(part.usage_events) as u
    )
    insert into quotastack.idempotency_keys (environment_id, key_digest, key, fingerprint, status, body,
           customer_id, is_money, created_at)
    select own_environment_id, u.* from unnest(part.idempotency_keys) as u;
    if cardinality(part.counters) > 0 then
        update quotastack.counters as n
           set period_end = u.period_end, value = u.value, max = u.max, overage_units = u.overage_units,
               cost_mc = u.cost_mc, is_current = u.is_current, details = u.details
          from unnest(part.counters) as u
         where n.environment_id = own_environment_id and n.customer_id = u.customer_id
           and n.billable_metric_key = u.billable_metric_key and n.kind = u.kind and n.period_start = u.period_start;
        get diagnostics written = row_count;
        if written <> cardinality(part.counters) then
            raise serialization_failure using message = 'a counter that was loaded is not there';
        end if;
    end if;
    if cardinality(part.new_counters) > 0 then
        insert into quotastack.counters as n (environment_id, customer_id, billable_metric_key, kind, period_start, period_end,
               value, max, overage_units, cost_mc, is_current, details)
        select own_environment_id, u.* from unnest(part.new_counters) as u
            on conflict (environment_id, customer_id, billable_metric_key, kind, period_start)
            do update set period_end = excluded.period_end, value = excluded.value, max = excluded.max,
               overage_units = excluded.overage_units, cost_mc = excluded.cost_mc,
               is_current = excluded.is_current, details = excluded.details;
    end if;
    if cardinality(part.dues) > 0 then
        insert into quotastack.customer_due as d (environment_id, customer_id, due_at)
        select own_environment_id, u.* from unnest(part.dues) as u
            on conflict (environment_id, customer_id)
            do update set due_at = excluded.due_at, claimed_until = null;
    end if;
    if cardinality(part.holds) > 0 then
        insert into quotastack.reservations as r (environment_id, customer_id, id, is_live, status,
               billable_metric_key, created_at, doc)
        select own_environment_id, u.* from unnest(part.holds) as u
            on conflict (environment_id, customer_id, id)
            do update set is_live = excluded.is_live, status = excluded.status, doc = excluded.doc;
    end if;
    if cardinality(part.new_events) > 0 then
        insert into quotastack.events (environment_id, customer_id, sequence, id, type, data, request_id, created_at)
        select own_environment_id, u.* from unnest(part.new_events) as u;
    end if;
    foreach notice in array part.notices loop
        perform pg_notify('quotastack_customers', notice);
    end loop;
    return true;
end
$$;
grant execute on function quotastack.write_part(quotastack.batch_part) to qs_app;

-- The same for what was decided on remembered states, as a transaction of its own: for one environment after the other, ascending,
-- enter it, take the locks that open_batch takes, in its order, and write only if it and every customer are still of the version
-- that was decided on, and no key of a refused command is known: that command would have been a replay. (A known key of another
-- one is a unique violation.) False: something changed meanwhile, nothing was written. Sets the environment by SET LOCAL for the
-- rest of the transaction, which is this call.
create function quotastack.write_known_batches(parts quotastack.batch_part[]) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    part quotastack.batch_part;
    environment_version bigint;
    is_written boolean;
begin
    foreach part in array parts loop
        execute format('set local quotastack.environment_id = %L', part.environment_id);
        perform pg_advisory_xact_lock_shared(quotastack.environment_lock_key(part.environment_id));
        select e.version into environment_version from quotastack.environments as e where e.id = part.environment_id;
        if environment_version is distinct from part.environment_version then
            raise serialization_failure using message = 'the environment has moved on';
        end if;
        if cardinality(part.refused_digests) > 0 and exists (
            select from quotastack.idempotency_keys as k
             where k.environment_id = part.environment_id and k.key_digest = any (part.refused_digests)
        ) then
            raise serialization_failure using message = 'the key of a refused command was used before';
        end if;
        is_written := quotastack.write_part(part);
    end loop;
    return true;
exception
    when serialization_failure then
        return false;
end
$$;
grant execute on function quotastack.write_known_batches(quotastack.batch_part[]) to qs_app;
