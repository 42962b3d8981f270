-- Webhooks: endpoints, their lanes, and one row for each event that goes to an endpoint.

-- kind: 'endpoint' was made by itself, 'shortcut' follows webhook_url of the configuration, 'listener' is read by
-- `quotastack listen` and has no url. Secrets are sealed with the installation's secret; without one nothing is delivered.
create table quotastack.webhook_endpoints (
    environment_id        uuid        not null,
    id                    uuid        not null,
    kind                  text        not null default 'endpoint',
    url                   text,
    description           text,
    patterns              text[]      not null,
    severity              text,
    billable_metric_key   text,
    format                text        not null default 'standard',
    status                text        not null default 'active',
    disabled_reason       text,
    disabled_at           timestamptz,
    secret                bytea,
    previous_secret       bytea,
    previous_secret_until timestamptz,
    failing_since         timestamptz,
    pulled_at             timestamptz,
    created_at            timestamptz not null,
    updated_at            timestamptz not null,
    deleted_at            timestamptz,
    constraint webhook_endpoints_pkey primary key (environment_id, id),
    constraint webhook_endpoints_kind check (kind in ('endpoint', 'shortcut', 'listener')),
    constraint webhook_endpoints_url check ((url is null) = (kind = 'listener')),
    constraint webhook_endpoints_format check (format in ('standard', 'cloudevents')),
    constraint webhook_endpoints_status check (status in ('active', 'disabled')),
    constraint webhook_endpoints_disabled check ((status = 'disabled') = (disabled_at is not null)),
    constraint webhook_endpoints_patterns check (cardinality(patterns) between 1 and 100)
);
create unique index webhook_endpoints_shortcut on quotastack.webhook_endpoints (environment_id)
    where kind = 'shortcut' and deleted_at is null;
select quotastack.protect('quotastack.webhook_endpoints');

-- A lane is what is delivered one after the other: the events of one customer to one endpoint, or something sent out of
-- order (a redelivery, a test, one customer's part of a replay), which has a lane of its own. due_at: when a worker must look
-- at it, null when nothing waits. Claiming moves due_at to the end of the lease, so a worker that died gives the lane back.
create table quotastack.webhook_lanes (
    environment_id uuid        not null,
    endpoint_id    uuid        not null,
    lane_id        uuid        not null,
    customer_id    uuid,
    due_at         timestamptz,
    lease_id       uuid,
    last_sequence  bigint,
    constraint webhook_lanes_pkey primary key (environment_id, endpoint_id, lane_id)
) with (fillfactor = 70);
create index webhook_lanes_due on quotastack.webhook_lanes (due_at) where due_at is not null;
select quotastack.protect('quotastack.webhook_lanes');
select quotastack.open_to_definer('quotastack.webhook_lanes', 'select, update (due_at, lease_id)');

-- Written in the transaction of the event. body is set where there is no event behind it (tests). previous_sequence is the
-- event before this one in its lane, as told to the receiver.
create table quotastack.webhook_deliveries (
    environment_id    uuid        not null,
    id                uuid        not null,
    endpoint_id       uuid        not null,
    lane_id           uuid        not null,
    customer_id       uuid,
    sequence          bigint      not null,
    event_id          uuid        not null,
    event_type        text        not null,
    origin            text        not null default 'event',
    status            text        not null default 'pending',
    attempts          jsonb       not null default '[]',
    next_attempt_at   timestamptz,
    previous_sequence bigint,
    body              bytea,
    created_at        timestamptz not null default clock_timestamp(),
    finished_at       timestamptz,
    constraint webhook_deliveries_pkey primary key (environment_id, id),
    constraint webhook_deliveries_origin check (origin in ('event', 'redelivery', 'replay', 'test')),
    constraint webhook_deliveries_status check (status in ('pending', 'succeeded', 'failed', 'canceled')),
    constraint webhook_deliveries_finished check ((status = 'pending') = (finished_at is null))
) with (fillfactor = 80);
create index webhook_deliveries_pending on quotastack.webhook_deliveries (environment_id, endpoint_id, lane_id, sequence)
    where status = 'pending';
create index webhook_deliveries_by_created_at on quotastack.webhook_deliveries (environment_id, created_at, id);
select quotastack.protect('quotastack.webhook_deliveries');

-- Functions that look across environments -----------------------------------------------------------------------------

-- Lanes that are due, oldest first, for one worker. A lane that another worker is claiming at this moment is passed over.
-- statement_timestamp and not clock_timestamp: the index can be asked for it.
create function quotastack.claim_webhook_lanes(
    new_lease_id uuid, lease_seconds double precision, lanes_max integer, passed_over_endpoint_ids uuid[]
)
returns table (environment_id uuid, endpoint_id uuid, lane_id uuid)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    with due as (
        select l.environment_id, l.endpoint_id, l.lane_id
          from quotastack.webhook_lanes as l
         where l.due_at <= statement_timestamp()
           and l.endpoint_id <> all (passed_over_endpoint_ids)
         order by l.due_at
         limit lanes_max
           for update skip locked
    )
    update quotastack.webhook_lanes as l
       set due_at = statement_timestamp() + make_interval(secs => lease_seconds), lease_id = new_lease_id
      from due
     where l.environment_id = due.environment_id
       and l.endpoint_id = due.endpoint_id
       and l.lane_id = due.lane_id
    returning l.environment_id, l.endpoint_id, l.lane_id
$$;
select quotastack.hand_to_definer('quotastack.claim_webhook_lanes(uuid, double precision, integer, uuid[])');

-- Seconds until the next lane is due; below zero when one is overdue, null when nothing waits anywhere.
create function quotastack.seconds_to_webhook_due() returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select extract(epoch from min(l.due_at) - clock_timestamp())::double precision
      from quotastack.webhook_lanes as l
     where l.due_at is not null
$$;
select quotastack.hand_to_definer('quotastack.seconds_to_webhook_due()');
