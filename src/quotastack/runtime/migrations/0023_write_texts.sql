-- Texts of ledger entries that no usage event carries, keys and reasons of holds, grants and withdrawals, are written by the call
-- that writes the rest. Before, one reservation with a key made its whole batch take five round trips instead of one.
--
-- The functions that take a quotastack.batch_part stay: these add to them, and processes of the version before call them.

create type quotastack.new_ledger_text as (
    customer_id uuid, unit text, sequence bigint, salt bytea, idempotency_key text, reason text, metadata jsonb
);
-- What a batch writes in one environment, and the texts of its entries.
create type quotastack.batch_part_with_texts as (part quotastack.batch_part, ledger_texts quotastack.new_ledger_text[]);
grant usage on type quotastack.new_ledger_text, quotastack.batch_part_with_texts to qs_app;

-- quotastack.write_part of the part, which locks and compares, then its texts.
create function quotastack.write_part(whole quotastack.batch_part_with_texts) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    part quotastack.batch_part := whole.part;
begin
    perform quotastack.write_part(part);
    if cardinality(whole.ledger_texts) > 0 then
        insert into quotastack.ledger_texts (environment_id, customer_id, unit, sequence, salt, idempotency_key, reason, metadata)
        select part.environment_id, u.* from unnest(whole.ledger_texts) as u;
    end if;
    return true;
end
$$;
grant execute on function quotastack.write_part(quotastack.batch_part_with_texts) to qs_app;

-- The same for what was decided on remembered states, as a transaction of its own: see the function of this name that takes parts
-- without texts, whose locks and answers these are.
create function quotastack.write_known_batches(wholes quotastack.batch_part_with_texts[]) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    whole quotastack.batch_part_with_texts;
    part quotastack.batch_part;
    environment_version bigint;
    is_written boolean;
begin
    foreach whole in array wholes loop
        part := whole.part;
        execute format('set local quotastack.environment_id = %L', part.environment_id);
        perform pg_advisory_xact_lock_shared(quotastack.environment_lock_key(part.environment_id));
        select e.version into environment_version from quotastack.environments as e where e.id = part.environment_id;
        if environment_version is distinct from part.environment_version then
            raise serialization_failure using message = 'the environment has moved on';
        end if;
        if cardinality(part.refused_digests) > 0 and exists (
            select from quotastack.idempotency_keys as k
             where k.environment_id = part.environment_id and k.key_digest = any (part.refused_digests)
        ) then
            raise serialization_failure using message = 'the key of a refused command was used before';
        end if;
        is_written := quotastack.write_part(whole);
    end loop;
    return true;
exception
    when serialization_failure then
        return false;
end
$$;
grant execute on function quotastack.write_known_batches(quotastack.batch_part_with_texts[]) to qs_app;
