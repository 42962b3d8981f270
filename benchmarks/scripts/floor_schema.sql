-- What a careful developer would write by hand for credits in one database, without any of the product's promises beyond
-- the debit itself: key, account, block, ledger, outbox.
drop schema if exists floor cascade;
create schema floor;
create table floor.keys (key text primary key, created_at timestamptz not null default now());
create table floor.accounts (id int primary key, balance bigint not null check (balance >= 0)) with (fillfactor = 50);
create table floor.blocks (id int primary key, account_id int not null, remaining bigint not null check (remaining >= 0))
    with (fillfactor = 50);
create table floor.ledger (
    id bigint generated always as identity primary key, account_id int not null, delta bigint not null,
    balance_after bigint not null, created_at timestamptz not null default now()
);
create table floor.outbox (
    id bigint generated always as identity primary key, account_id int not null, type text not null, payload jsonb not null
);
insert into floor.accounts select i, 1000000000000 from generate_series(1, 10000) as i;
insert into floor.blocks select i, i, 1000000000000 from generate_series(1, 10000) as i;

create function floor.debit(account int, amount bigint) returns bigint language plpgsql as $$
declare left_over bigint;
begin
    insert into floor.keys (key) values (gen_random_uuid()::text);
    select balance into left_over from floor.accounts where id = account for update;
    update floor.blocks set remaining = remaining - amount where id = account;
    update floor.accounts set balance = balance - amount where id = account returning balance into left_over;
    insert into floor.ledger (account_id, delta, balance_after) values (account, -amount, left_over);
    insert into floor.outbox (account_id, type, payload) values (account, 'credit.consumed', '{"amount": 1000}');
    return left_over;
end $$;

-- Many debits in one call, one after the other: what a batch can cost at best in one backend.
create function floor.debit_many(accounts int[], amount bigint) returns int language plpgsql as $$
declare account int;
begin
    foreach account in array accounts loop
        perform floor.debit(account, amount);
    end loop;
    return cardinality(accounts);
end $$;
analyze floor.accounts, floor.blocks;
