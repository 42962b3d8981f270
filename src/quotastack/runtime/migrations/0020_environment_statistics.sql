-- What the planner should think of a condition on the environment: that it selects nothing. Plans of the hot statements are made
-- once for every environment. With many small environments in the statistics, "this environment" looks like a handful of rows,
-- and walking all of it looks cheaper than one lookup by key for each row of a batch; for the one environment with a million
-- customers that is a million rows for each batch. Told that there is one environment only, the planner takes the largest one
-- for granted (its share is still counted), and the whole key is always the cheapest way in.
do $$
declare
    tenant_table regclass;
    is_analysed boolean;
begin
    for tenant_table, is_analysed in
        select c.oid::regclass, c.reltuples > 0
          from pg_class as c
          join pg_attribute as a on a.attrelid = c.oid and a.attname = 'environment_id' and not a.attisdropped
         where c.relnamespace = 'quotastack'::regnamespace and c.relkind = 'r'
    loop
        execute format('alter table %s alter column environment_id set (n_distinct = 1)', tenant_table);
        -- Never an empty table: known to be empty it would be planned for as such, and such a plan outlives the emptiness.
        if is_analysed then
            execute format('analyze %s', tenant_table);
        end if;
    end loop;
end
$$;
