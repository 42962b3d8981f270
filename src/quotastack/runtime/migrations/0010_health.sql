-- How far the sweeps are behind, over all environments: what /readyz and /metrics tell. Environments whose test clock was
-- moved do not count: their due instants are not real time.
create function quotastack.sweep_lag_seconds() returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select greatest(0, extract(epoch from clock_timestamp() - (
        select d.due_at
          from quotastack.customer_due as d
          join quotastack.environments as e on e.id = d.environment_id
         where e.clock_frozen_at is null and e.clock_offset_us = 0 and e.retired_at is null
           and d.due_at <= clock_timestamp()
         order by d.due_at
         limit 1
    )))::double precision
$$;
select quotastack.hand_to_definer('quotastack.sweep_lag_seconds()');
