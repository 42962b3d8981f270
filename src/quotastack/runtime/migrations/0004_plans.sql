-- Plans, their variants, and every version of a variant that was ever published.

create table quotastack.plans (
    environment_id uuid        not null,
    id             uuid        not null,
    key            text        not null,
    name           text        not null,
    description    text,
    family         text        not null,
    metadata       jsonb       not null default '{}',
    archived_at    timestamptz,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    constraint plans_pkey primary key (environment_id, id),
    constraint plans_key unique (environment_id, key),
    constraint plans_metadata check (jsonb_typeof(metadata) = 'object')
);
select quotastack.protect('quotastack.plans');

create table quotastack.plan_variants (
    environment_id uuid        not null,
    id             uuid        not null,
    plan_id        uuid        not null,
    key            text        not null,
    latest_version integer     not null,
    archived_at    timestamptz,
    created_at     timestamptz not null,
    constraint plan_variants_pkey primary key (environment_id, id),
    constraint plan_variants_key unique (environment_id, plan_id, key),
    constraint plan_variants_plan foreign key (environment_id, plan_id)
        references quotastack.plans (environment_id, id),
    constraint plan_variants_version check (latest_version >= 1)
);
select quotastack.protect('quotastack.plan_variants');

-- doc holds the terms, the grant templates and the entitlements of one version together: a running period keeps all of
-- them. A version is written over only while nobody is subscribed to it. published_at is the environment's time.
create table quotastack.plan_variant_versions (
    environment_id uuid        not null,
    variant_id     uuid        not null,
    version        integer     not null,
    doc            jsonb       not null,
    published_at   timestamptz not null,
    constraint plan_variant_versions_pkey primary key (environment_id, variant_id, version),
    constraint plan_variant_versions_variant foreign key (environment_id, variant_id)
        references quotastack.plan_variants (environment_id, id),
    constraint plan_variant_versions_version check (version >= 1),
    constraint plan_variant_versions_doc check (jsonb_typeof(doc) = 'object')
);
select quotastack.protect('quotastack.plan_variant_versions');

-- Lists of subscriptions, newest first.
create index subscriptions_by_created_at on quotastack.subscriptions (environment_id, created_at, id);
