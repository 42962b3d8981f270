-- How much ANALYZE looks at. It holds a snapshot for as long as it reads its sample, and under a snapshot no page is rid of the
-- versions that updates leave behind: while thirty thousand rows of a table with documents were read, which took four seconds,
-- a debit cost the database twice as much. A table that grows or changes by thousands of rows a second is analysed again and
-- again. So the sample is a tenth of PostgreSQL's own (whose size is three hundred rows for each value that is kept), and
-- columns that no condition names, documents, bodies, hashes and sums, are left out of it.
do $$
declare
    hot_table text;
    told text[];
    hot_column record;
begin
    -- Each table with the columns that conditions, joins or orders name.
    for hot_table, told in values
        ('customers', array['environment_id', 'id', 'external_id', 'display_name', 'email', 'created_at', 'deleted_at']),
        ('accounts', array['environment_id', 'customer_id', 'unit', 'status']),
        ('blocks', array['environment_id', 'customer_id', 'id', 'unit', 'status', 'source', 'is_live', 'expires_at', 'created_at']),
        ('counters', array['environment_id', 'customer_id', 'billable_metric_key', 'kind', 'period_start', 'period_end', 'is_current']),
        ('reservations', array['environment_id', 'customer_id', 'id', 'is_live', 'status', 'billable_metric_key', 'created_at']),
        ('ledger_entries', array['environment_id', 'customer_id', 'unit', 'sequence', 'id', 'type', 'reference_type', 'reference_id',
                                 'created_at']),
        ('usage_events', array['environment_id', 'customer_id', 'id', 'billable_metric_key', 'status', 'reservation_id',
                               'timestamp', 'dimensions', 'created_at']),
        ('idempotency_keys', array['environment_id', 'key_digest', 'customer_id', 'is_money', 'created_at']),
        ('events', array['environment_id', 'customer_id', 'sequence', 'id', 'type', 'created_at'])
    loop
        for hot_column in
            select a.attname as name
              from pg_attribute as a
             where a.attrelid = ('quotastack.' || hot_table)::regclass and a.attnum > 0 and not a.attisdropped
        loop
            execute format('alter table quotastack.%I alter column %I set statistics %s', hot_table, hot_column.name,
                           case when hot_column.name = any (told) then 10 else 0 end);
        end loop;
    end loop;
end
$$;
