-- Lanes that became due last, at most looked_at_max of them, for a worker that passes over some endpoints. An endpoint that is
-- dead can have any number of lanes waiting, all older than what is told now: looking through them all at every event made a
-- hundred thousand of them everybody's delay.
create function quotastack.claim_newest_webhook_lanes(
    new_lease_id uuid, lease_seconds double precision, lanes_max integer, looked_at_max integer,
    passed_over_endpoint_ids uuid[]
)
returns table (environment_id uuid, endpoint_id uuid, lane_id uuid)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with newest as (
        select l.environment_id, l.endpoint_id, l.lane_id, l.due_at
          from quotastack.webhook_lanes as l
         where l.due_at <= statement_timestamp()
         order by l.due_at desc
         limit looked_at_max
    ), due as (
        select l.environment_id, l.endpoint_id, l.lane_id
          from newest
          join quotastack.webhook_lanes as l
            on l.environment_id = newest.environment_id
           and l.endpoint_id = newest.endpoint_id
           and l.lane_id = newest.lane_id
         where l.due_at <= statement_timestamp()
           and l.endpoint_id <> all (passed_over_endpoint_ids)
         order by newest.due_at
         limit lanes_max
           for update of l skip locked
    )
    update quotastack.webhook_lanes as l
       set due_at = statement_timestamp() + make_interval(secs => lease_seconds), lease_id = new_lease_id
      from due
     where l.environment_id = due.environment_id
       and l.endpoint_id = due.endpoint_id
       and l.lane_id = due.lane_id
    returning l.environment_id, l.endpoint_id, l.lane_id
$$;
select quotastack.hand_to_definer(
    'quotastack.claim_newest_webhook_lanes(uuid, double precision, integer, integer, uuid[])'
);
