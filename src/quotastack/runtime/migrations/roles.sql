-- The roles of an installation. They belong to the whole server, not to a database, so this file is not numbered: it runs
-- before the numbered ones, every time, and changes nothing when all is there. Runs as the login of QUOTASTACK_DATABASE_URL.
--
--   qs_owner    owns the schema; cannot log in; migrations run as it
--   qs_app      what the server logs in as: owns nothing, bypasses nothing, member of nothing
--   qs_definer  owns the few functions that look across environments; cannot log in

do $$
begin
    if not exists (select from pg_roles where rolname = 'qs_owner') then
        create role qs_owner nologin nosuperuser nobypassrls nocreaterole nocreatedb;
    end if;
    if not exists (select from pg_roles where rolname = 'qs_definer') then
        create role qs_definer nologin nosuperuser nobypassrls nocreaterole nocreatedb;
    end if;
    if not exists (select from pg_roles where rolname = 'qs_app') then
        create role qs_app login nosuperuser nobypassrls nocreaterole nocreatedb noinherit;
    end if;
exception
    -- Another database of the same server is migrated at this moment: the roles are the same ones.
    when duplicate_object or unique_violation then null;
end
$$;

do $$
declare
    is_superuser boolean := (select rolsuper from pg_roles where rolname = current_user);
    -- From 16 on who makes a role is a member of it, but may not become it without a grant of its own.
    may_become text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
begin
    if not is_superuser and not pg_has_role(current_user, 'qs_owner', may_become) then
        execute format('grant qs_owner to %I', current_user);
    end if;
    if not is_superuser and not pg_has_role(current_user, 'qs_definer', may_become) then
        execute format('grant qs_definer to %I', current_user);
    end if;
    -- The owner hands functions over to the definer, see quotastack.hand_to_definer.
    if not pg_has_role('qs_owner', 'qs_definer', 'member') then
        grant qs_definer to qs_owner;
    end if;
    if not has_database_privilege('qs_app', current_database(), 'connect') then
        execute format('grant connect on database %I to qs_app', current_database());
    end if;
end
$$;
