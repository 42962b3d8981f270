-- Topup packages: the values that fill what a topup leaves out.

create table quotastack.topup_packages (
    environment_id        uuid        not null,
    id                    uuid        not null,
    name                  text        not null,
    description           text,
    credits               bigint      not null,
    unit                  text        not null,
    price                 bigint,
    currency              text,
    priority              bigint      not null,
    expires_after_seconds bigint,
    bonus_credits         bigint      not null,
    active                boolean     not null,
    metadata              jsonb       not null,
    created_at            timestamptz not null,
    updated_at            timestamptz not null,
    constraint topup_packages_pkey primary key (environment_id, id),
    constraint topup_packages_credits check (credits > 0 and bonus_credits >= 0),
    constraint topup_packages_price check (price >= 0),
    constraint topup_packages_expiry check (expires_after_seconds > 0)
);
select quotastack.protect('quotastack.topup_packages', 'select, insert, update');
