-- The request limit of an environment: one bucket for all processes. Nothing is lost with it, so it is not logged.
create unlogged table quotastack.request_buckets (
    environment_id      uuid             not null,
    requests_per_minute integer          not null,
    tokens              double precision not null,
    filled_at           timestamptz      not null,
    taken               integer          not null,
    constraint request_buckets_pkey primary key (environment_id),
    constraint request_buckets_tokens check (tokens >= 0)
);
select quotastack.protect('quotastack.request_buckets');
