-- Erasure: when a customer was deleted, everything personal and every text goes; amounts, lines and ids stay.
--
-- The server itself may neither change nor delete a text beside the ledger: this function may, and only for customers of the
-- transaction's environment that are marked as deleted. The hash chain holds digests of the texts and stays as it is.

select quotastack.open_to_definer('quotastack.customers', 'select');
select quotastack.open_to_definer('quotastack.ledger_texts', 'select, delete');
select quotastack.open_to_definer('quotastack.usage_events', 'select, update (metadata, idempotency_key, text_salt)');
select quotastack.open_to_definer('quotastack.blocks', 'select, update (doc)');
select quotastack.open_to_definer('quotastack.reservations', 'select, update (doc)');
select quotastack.open_to_definer('quotastack.subscriptions', 'select, update (doc)');
select quotastack.open_to_definer('quotastack.assets', 'select, update (doc)');
select quotastack.open_to_definer('quotastack.events', 'select, update (data)');
select quotastack.open_to_definer('quotastack.idempotency_keys', 'select, update (key, body)');

create function quotastack.erase_customers(erased_ids uuid[]) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    environment uuid := current_setting('quotastack.environment_id')::uuid;
    ids uuid[] := array(
        select c.id from quotastack.customers as c
         where c.environment_id = environment and c.id = any (erased_ids) and c.deleted_at is not null
    );
begin
    delete from quotastack.ledger_texts as t
     where t.environment_id = environment and t.customer_id = any (ids);
    update quotastack.usage_events as u
       set metadata = '{}', idempotency_key = null, text_salt = null
     where u.environment_id = environment and u.customer_id = any (ids);
    update quotastack.blocks as b
       set doc = b.doc || '{"reason": null, "metadata": {}}'
     where b.environment_id = environment and b.customer_id = any (ids);
    update quotastack.reservations as r
       set doc = r.doc || '{"metadata": {}}'
     where r.environment_id = environment and r.customer_id = any (ids);
    update quotastack.subscriptions as s
       set doc = s.doc || '{"metadata": {}}'
     where s.environment_id = environment and s.customer_id = any (ids);
    update quotastack.assets as a
       set doc = a.doc - 'reason'
     where a.environment_id = environment and a.customer_id = any (ids);
    update quotastack.events as e
       set data = e.data - array['external_customer_id', 'display_name', 'email', 'metadata', 'reason', 'problem']
     where e.environment_id = environment and e.customer_id = any (ids);
    -- A key stays as its digest: who uses it again is refused, and nothing of the old answer is shown. The deletion's own
    -- answer holds nothing personal and may be asked for again.
    update quotastack.idempotency_keys as k
       set key = null,
           body = case when convert_from(k.body, 'UTF8')::jsonb ? 'deleted_at' then k.body end
     where k.environment_id = environment and k.customer_id = any (ids) and k.body is not null;
end
$$;
select quotastack.hand_to_definer('quotastack.erase_customers(uuid[])');
