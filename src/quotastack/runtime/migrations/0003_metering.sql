-- The metering catalog: what can be counted, and its price lists with all that ever were.

create table quotastack.billable_metrics (
    environment_id uuid        not null,
    id             uuid        not null,
    key            text        not null,
    name           text        not null,
    description    text,
    type           text        not null,
    aggregation    text,
    default_value  jsonb,
    scale          smallint    not null,
    unit           text        not null,
    archived_at    timestamptz,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    constraint billable_metrics_pkey primary key (environment_id, id),
    constraint billable_metrics_key unique (environment_id, key),
    constraint billable_metrics_type check (type in ('metered', 'gauge', 'boolean', 'static')),
    constraint billable_metrics_aggregation check (
        (type = 'metered' and aggregation in ('CumulativeCounter', 'TotalCounter', 'UpDownCounter'))
        or (type = 'gauge' and aggregation in ('Gauge', 'UpDownCounter'))
        or (type in ('boolean', 'static') and aggregation is null)
    ),
    constraint billable_metrics_scale check (scale between 0 and 6)
);
select quotastack.protect('quotastack.billable_metrics');

-- A rule never changes but for active_to, set once when it is replaced or deactivated. tiers hold up_to at the metric's scale.
create table quotastack.metering_rules (
    environment_id      uuid        not null,
    id                  uuid        not null,
    billable_metric_key text        not null,
    cost_type           text        not null,
    flat_cost           bigint      not null,
    unit_cost           bigint      not null,
    per_units           bigint      not null,
    tiers               jsonb       not null,
    tier_mode           text        not null,
    tier_scope          text        not null,
    rounding            text        not null,
    match               jsonb       not null,
    overage_policy      text,
    overage_limit       bigint,
    active_from         timestamptz not null,
    active_to           timestamptz,
    created_at          timestamptz not null,
    constraint metering_rules_pkey primary key (environment_id, id),
    constraint metering_rules_metric foreign key (environment_id, billable_metric_key)
        references quotastack.billable_metrics (environment_id, key),
    constraint metering_rules_cost_type check (cost_type in ('flat', 'per_unit', 'tiered')),
    constraint metering_rules_costs check (flat_cost >= 0 and unit_cost >= 0 and per_units >= 1),
    constraint metering_rules_tiers check ((cost_type = 'tiered') = (jsonb_array_length(tiers) > 0)),
    constraint metering_rules_mode check (tier_mode in ('graduated', 'volume')),
    constraint metering_rules_scope check (tier_scope = 'event' or (tier_scope = 'period' and tier_mode = 'graduated')),
    constraint metering_rules_rounding check (rounding in ('up', 'down', 'half_even')),
    constraint metering_rules_overage check (
        (overage_policy is null or overage_policy in ('block', 'allow', 'notify'))
        and (overage_limit is null or overage_limit >= 0)
    ),
    constraint metering_rules_active check (active_to is null or active_to >= active_from)
);
-- One rule in force per metric and match.
create unique index metering_rules_in_force on quotastack.metering_rules (environment_id, billable_metric_key, match)
    where active_to is null;
select quotastack.protect(
    'quotastack.metering_rules',
    'select, insert, update (active_to)'
);
