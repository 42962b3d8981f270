-- What the planner should think of tables that are empty still. Without statistics it takes an environment for a few rows and
-- plans to read all of it; such a plan is in use while the table grows to millions. So each table that is looked up by key
-- gets a thousand rows of an environment that does not exist, is analysed, and emptied again: the statistics stay until real
-- rows have better ones.

alter table quotastack.customers no force row level security;
alter table quotastack.accounts no force row level security;
alter table quotastack.blocks no force row level security;
alter table quotastack.counters no force row level security;
alter table quotastack.reservations no force row level security;
alter table quotastack.idempotency_keys no force row level security;
alter table quotastack.external_ids no force row level security;
alter table quotastack.customer_due no force row level security;

create temporary table sample on commit drop as
select '00000000-0000-7000-8000-000000000000'::uuid as environment_id, gen_random_uuid() as customer_id,
       gen_random_uuid() as id, number, timestamptz '2020-01-01' + number * interval '1 minute' as at
  from generate_series(1, 1000) as number;

insert into quotastack.customers (environment_id, id, external_id, display_name, email, created_at, updated_at)
select environment_id, customer_id, number::text, number::text, number::text, at, at from sample;
insert into quotastack.accounts (environment_id, customer_id, unit) select environment_id, customer_id, 'credits' from sample;
insert into quotastack.blocks (environment_id, customer_id, id, unit, original_mc, remaining_mc, priority, effective_at, source,
       status, is_live, created_at, doc)
select environment_id, customer_id, id, 'credits', 1, 1, 0, at, 'topup', 'active', true, at, '{}' from sample;
insert into quotastack.counters (environment_id, customer_id, billable_metric_key, kind, period_start, period_end, value,
       overage_units, cost_mc, is_current)
select environment_id, customer_id, 'sample', 'asset', timestamptz '2020-01-01', timestamptz '2020-02-01', 0, 0, 0, true
  from sample;
insert into quotastack.reservations (environment_id, customer_id, id, is_live, status, created_at, doc)
select environment_id, customer_id, id, true, 'active', at, '{}' from sample;
insert into quotastack.idempotency_keys (environment_id, key_digest, fingerprint, is_money, created_at)
select environment_id, sha256(id::text::bytea), sha256(id::text::bytea), true, at from sample;
insert into quotastack.external_ids (environment_id, external_id, customer_id)
select environment_id, id::text, customer_id from sample;
insert into quotastack.customer_due (environment_id, customer_id, due_at) select environment_id, customer_id, at from sample;

analyze quotastack.customers, quotastack.accounts, quotastack.blocks, quotastack.counters, quotastack.reservations,
        quotastack.idempotency_keys, quotastack.external_ids, quotastack.customer_due;

delete from quotastack.customers where environment_id = '00000000-0000-7000-8000-000000000000';
delete from quotastack.accounts where environment_id = '00000000-0000-7000-8000-000000000000';
delete from quotastack.blocks where environment_id = '00000000-0000-7000-8000-000000000000';
delete from quotastack.counters where environment_id = '00000000-0000-7000-8000-000000000000';
delete from quotastack.reservations where environment_id = '00000000-0000-7000-8000-000000000000';
delete from quotastack.idempotency_keys where environment_id = '00000000-0000-7000-8000-000000000000';
delete from quotastack.external_ids where environment_id = '00000000-0000-7000-8000-000000000000';
delete from quotastack.customer_due where environment_id = '00000000-0000-7000-8000-000000000000';

alter table quotastack.customers force row level security;
alter table quotastack.accounts force row level security;
alter table quotastack.blocks force row level security;
alter table quotastack.counters force row level security;
alter table quotastack.reservations force row level security;
alter table quotastack.idempotency_keys force row level security;
alter table quotastack.external_ids force row level security;
alter table quotastack.customer_due force row level security;
