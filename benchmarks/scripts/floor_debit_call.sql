\set account random(1, :accounts)
select floor.debit(:account, 1000);
