\set account random(1, :accounts)
begin;
insert into floor.keys (key) values (gen_random_uuid()::text);
select balance from floor.accounts where id = :account for update;
update floor.blocks set remaining = remaining - 1000 where id = :account;
update floor.accounts set balance = balance - 1000 where id = :account;
insert into floor.ledger (account_id, delta, balance_after) select :account, -1000, balance from floor.accounts where id = :account;
insert into floor.outbox (account_id, type, payload) values (:account, 'credit.consumed', '{"amount": 1000}');
commit;
