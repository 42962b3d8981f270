"""Bugs to plant, each as texts replaced in a module, with the tests that must notice it.

Standard library only: it is read at the start of every process that may carry one.
"""

from typing import NamedTuple


class Patch(NamedTuple):
    name: str
    module: str
    old: str
    new: str


class Bug(NamedTuple):
    """``promises`` are broken by it; one of ``catchers`` must fail."""

    name: str
    promises: tuple[str, ...]
    patches: tuple[Patch, ...]
    catchers: tuple[str, ...]
    without_conditions: bool = False


CORE_MODEL = "tests/model/test_model_core.py::test_core_follows_the_model[credits]"
CONTENTION = "tests/races/test_http_contention.py"
FRESHNESS = "tests/races/test_http_freshness.py"
FUZZ = "tests/rigs/test_openapi_fuzz.py::test_boundary_values_of_customers"
HISTORY = "tests/rigs/test_history.py"
LINT = "tests/migrations/test_catalogue_lint.py::test_the_schema_is_clean"
TIME_MACHINE = "tests/rigs/test_time_machine.py::"
MIGRATIONS_READ = 'file.read_text("utf-8")))'
POLICY_USING = "'using (%I = current_setting(''quotastack.environment_id'')::uuid) '"
POLICY_CHECK = "'with check (%I = current_setting(''quotastack.environment_id'')::uuid)',"
BATCH_COMMIT = "    await _commit(tx)\n    return "
ANSWER_ALL = (
    "    for batch in batches:\n        for pending in batch.pendings:\n"
    "            if pending.outcome is not None:\n                pending.answer()\n"
)
HELD_ROW = """\
        hold = draft.holds.get(self.reservation_id)
        if hold is not None:
            return hold
"""


def _sql(old: str, new: str) -> str:
    """Reading a migration with one text replaced, as source."""
    return f'file.read_text("utf-8").replace({old!r}, {new!r})))'


def _bug(name: str, promises: str, module: str, old: str, new: str, *catchers: str) -> Bug:
    patch = Patch(name, f"quotastack.{module}", old, new)
    return Bug(name, tuple(promises.split()), (patch,), catchers)


_ALL = (
    _bug(
        "answer before COMMIT",
        "P5 P7",
        "engine.batch",
        BATCH_COMMIT,
        ANSWER_ALL + BATCH_COMMIT,
        "tests/engine/test_failures.py::test_a_connection_lost_at_commit_is_settled_by_the_key",
    ),
    _bug(
        "cached state used although its version is old",
        "P1 P2 P3",
        "engine.environment_batch",
        "elif entry is not None and entry.state.version == version:",
        "elif entry is not None:",
        "tests/engine/test_stale_cache.py",
    ),
    _bug(
        "a write does not compare the versions that it was decided on",
        "P1 P2 P3",
        "runtime.migrate",
        MIGRATIONS_READ,
        _sql(" and c.id = u.id and c.version = u.known_version;", " and c.id = u.id;"),
        "tests/engine/test_remembered.py",
    ),
    _bug(
        "what was decided on a batch that was not written is written",
        "P1 P2 P3",
        "engine.open_batch",
        "if before is not None and not before.was_written:",
        "if before is None and self.was_written:",
        "tests/engine/test_open_batch.py",
    ),
    Bug(
        "rerun without looking the key up",
        ("P4", "P7"),
        (
            Patch(
                "rerun",
                "quotastack.engine.environment_batch",
                "if stored is None or key is None:",
                "if stored is None or key is None or pending.is_settling:",
            ),
            Patch(
                "rerun",
                "quotastack.runtime.migrate",
                MIGRATIONS_READ,
                _sql(
                    "select own_environment_id, u.* from unnest(part.idempotency_keys) as u;",
                    "select own_environment_id, u.* from unnest(part.idempotency_keys) as u on conflict do nothing;",
                ),
            ),
        ),
        ("tests/engine/test_failures.py::test_a_connection_lost_at_commit_is_settled_by_the_key",),
    ),
    _bug(
        "committed state not published to checks",
        "P33",
        "engine.publishing",
        "self._cache.put(draft.freeze())",
        "draft.freeze()",
        FRESHNESS + "::test_same_process_reflects_every_mutation",
    ),
    _bug(
        "callers answered before the state is published",
        "P33",
        "engine.batch",
        "        parts.publishing.finish()\n    finally:",
        "        pass\n    finally:",
        "tests/engine/test_publishing.py",
    ),
    _bug(
        "no notice to other processes",
        "P33",
        "engine.batch",
        "join_notices(prefix, rows.notices)",
        "join_notices(prefix, [])",
        FRESHNESS + "::test_other_process_follows_within_the_bound",
    ),
    _bug(
        "idempotency key unique without its environment",
        "P4 P17",
        "runtime.migrate",
        MIGRATIONS_READ,
        _sql(
            "constraint idempotency_keys_pkey primary key (environment_id, key_digest)",
            "constraint idempotency_keys_pkey primary key (key_digest), unique (environment_id, key_digest)",
        ),
        LINT,
    ),
    _bug(
        "key's fingerprint without the path",
        "P4",
        "core.idempotency",
        "path.encode(),",
        'b"",',
        "tests/api/test_regressions_planted.py",
    ),
    _bug(
        "over only after the instant of expiry",
        "P14",
        "core.advance",
        "    if draft.due_at > context.now:\n        return True",
        "    if draft.due_at >= context.now:\n        return True",
        "tests/core/test_reservations.py::test_expiry_at_the_instant",
    ),
    _bug(
        "time happens in the sweep only",
        "P13 P14",
        "engine.environment_batch",
        "is_done = _advance(draft, context)",
        'is_done = type(pending.submission.command).__name__ != "Advance" or _advance(draft, context)',
        CONTENTION + "::test_64_usages_of_one_block_that_expires",
        "tests/api/test_regressions_time.py",
    ),
    _bug(
        "a final hold ends again",
        "P13",
        "core.reservations",
        HELD_ROW,
        "        hold = (\n            draft.holds.get(self.reservation_id)\n"
        "            or draft.changes.holds.get(self.reservation_id)\n"
        '            or draft.extra.get(("hold", self.reservation_id))\n        )\n'
        "        if hold is not None:\n            return hold\n",
        "tests/core/test_reservations.py::test_final_is_final",
    ),
    _bug(
        "what a commit returns read from the wrong field",
        "P1 P13",
        "core.commits",
        "returned_mc=max(0, hold.reserved_mc - cost_mc)",
        "returned_mc=max(0, hold.reserved_mc - hold.committed_mc)",
        "tests/core/test_reservations.py",
    ),
    _bug(
        "release frees the wrong field",
        "P1 P13",
        "core.holds",
        "reserved_mc=account.reserved_mc - hold.reserved_mc",
        "reserved_mc=account.reserved_mc - hold.returned_mc",
        "tests/core/test_reservations.py",
        CORE_MODEL,
    ),
    _bug(
        "burn order by id",
        "P1",
        "core.burn_down",
        "        block.expires_at or NEVER,\n        bool(block.price_paid),\n        block.created_at,\n",
        "        NEVER,\n        False,\n        NEVER,\n",
        CORE_MODEL,
    ),
    _bug(
        "a float in a price",
        "P1 P39",
        "core.pricing",
        "numerator += (upper - lower) * tier.unit_cost * (denominator // tier.per_units)",
        "numerator += int((upper - lower) * (tier.unit_cost / tier.per_units) * denominator)",
        "tests/core/test_pricing.py",
    ),
    _bug(
        "boundaries from the period before, not from the anchor",
        "P16",
        "core.periods",
        "    return add_months(anchor_at, _MONTHS[interval] * count * index)",
        "    for _ in range(index):\n        anchor_at = add_months(anchor_at, _MONTHS[interval] * count)\n"
        "    return anchor_at if index >= 0 else add_months(anchor_at, _MONTHS[interval] * count * index)",
        "tests/core/test_periods.py",
    ),
    _bug(
        "a week that begins on Tuesday, a day at one o'clock",
        "P16",
        "core.periods",
        "_CALENDAR_ANCHOR: Final = datetime(2001, 1, 1, tzinfo=UTC)",
        "_CALENDAR_ANCHOR: Final = datetime(2001, 1, 2, 1, tzinfo=UTC)",
        "tests/core/test_periods.py",
    ),
    _bug(
        "a usage event is reversed twice",
        "P1 P13",
        "core.reversal",
        'if event.status != "applied":',
        'if event.status not in {"applied", "reversed"}:',
        "tests/core/test_reversal.py",
    ),
    _bug(
        "an event's number is used again",
        "P26 P27",
        "core.draft",
        "        self.event_sequence += 1\n",
        "        self.event_sequence += self.event_sequence < 2\n",
        "tests/core/test_blocks_properties.py",
        "tests/core/test_chronicles_credits.py",
    ),
    _bug(
        "what is held may be spent",
        "P2 P13",
        "core.customer_state",
        "return self.blocks_mc - self.overdraft_mc - self.reserved_mc",
        "return self.blocks_mc - self.overdraft_mc",
        "tests/core/test_reservations.py",
        CORE_MODEL,
    ),
    _bug(
        "foreign key without its environment",
        "P18 P19",
        "runtime.migrate",
        MIGRATIONS_READ,
        _sql(
            "select quotastack.protect('quotastack.plan_variants');",
            "select quotastack.protect('quotastack.plan_variants');\n"
            "alter table quotastack.plans add constraint plans_id unique (id);\n"
            "alter table quotastack.plan_variants drop constraint plan_variants_plan,\n"
            "    add constraint plan_variants_plan foreign key (plan_id) references quotastack.plans (id);",
        ),
        LINT,
    ),
    _bug(
        "policy without WITH CHECK",
        "P18",
        "runtime.migrate",
        MIGRATIONS_READ,
        _sql(
            POLICY_CHECK + "\n        protected_table, key_column, key_column",
            "'with check (true)',\n        protected_table, key_column",
        ),
        LINT,
    ),
    _bug(
        "table without FORCE",
        "P18",
        "runtime.migrate",
        MIGRATIONS_READ,
        _sql("    execute format('alter table %s force row level security', protected_table);\n", ""),
        LINT,
    ),
    _bug(
        "environment set for the session",
        "P17 P18",
        "runtime.tenancy",
        '"BEGIN; SET LOCAL quotastack.environment_id = "',
        '"BEGIN; SET quotastack.environment_id = "',
        "tests/store/test_tenancy.py",
    ),
    Bug(
        "no policy and no condition in the SQL",
        ("P17", "P18", "P19"),
        (
            Patch(
                "open policy",
                "quotastack.runtime.migrate",
                MIGRATIONS_READ,
                _sql(POLICY_USING, "'using (%I is not null) '"),
            ),
            Patch(
                "no check",
                "quotastack.runtime.self_check",
                "faults += [str(fault) for fault in await lint_catalogue(connection)]",
                "await lint_catalogue(connection)",
            ),
        ),
        ("tests/rigs/test_tenant_twins.py",),
        without_conditions=True,
    ),
    Bug(
        "one read without its condition, policies open, and a server that does not look",
        ("P17", "P19"),
        (
            Patch(
                "open policy",
                "quotastack.runtime.migrate",
                MIGRATIONS_READ,
                _sql(POLICY_USING, "'using (%I is not null) '"),
            ),
            Patch("no look", "quotastack.runtime.self_check", "raise IsolationError(faults)", "return"),
            Patch(
                "plan",
                "quotastack.store.plans",
                "    SELECT {_PLAN} FROM plans AS p WHERE p.environment_id = $1::uuid AND p.id = $2::uuid",
                "    SELECT {_PLAN} FROM plans AS p WHERE $1::uuid IS NOT NULL AND p.id = $2::uuid",
            ),
        ),
        ("tests/rigs/test_tenant_twins.py",),
    ),
    _bug(
        "scopes are not asked for",
        "P22",
        "api.app",
        "caller.require_scope(route.scope)",
        "caller.scopes",
        "tests/rigs/test_auth_matrix.py::test_each_scope_opens_its_operations",
    ),
    _bug(
        "a revoked key is remembered",
        "P22 P23",
        "services.api_keys",
        "row.revoked_at is None and row.environment",
        "row.environment",
        "tests/rigs/test_auth_matrix.py::test_a_wrong_key_opens_nothing",
    ),
    _bug(
        "a key opens the other environment's name too",
        "P19 P22",
        "services.api_keys",
        " and row.environment == parsed.environment",
        "",
        "tests/rigs/test_auth_matrix.py::test_a_wrong_key_opens_nothing",
    ),
    _bug(
        "only the first piece of a body is read",
        "P21",
        "api.http_protocol",
        "            request.raw += body\n",
        '            request.raw += b""\n',
        "tests/rigs/test_raw_framing.py::test_framing_changes_nothing",
    ),
    _bug(
        "bodies are told to the log",
        "P25",
        "api.json_body",
        "        struct = self._struct\n        if (\n",
        '        __import__("logging").getLogger("api").debug("read: %s", value)\n'
        "        struct = self._struct\n        if (\n",
        "tests/rigs/test_tenant_twins.py::test_what_others_own_does_not_exist",
    ),
    _bug(
        "the reasons in the ledger outlive their customer",
        "P36",
        "runtime.migrate",
        MIGRATIONS_READ,
        _sql(
            "     where t.environment_id = environment and t.customer_id = any (ids);",
            "     where t.environment_id = environment and t.customer_id = any (ids) and t.reason is null;",
        ),
        "tests/rigs/test_drills.py::test_an_erased_customer_is_in_no_dump",
    ),
    _bug(
        "NUL in a text reaches the database",
        "P21",
        "api.json_body",
        'if "\\x00" in text:',
        "if not text.isascii() and False:",
        FUZZ,
    ),
    _bug(
        "an answer that the document does not name",
        "P21",
        "api.customers",
        "answers={201: CustomerView},",
        "answers={202: CustomerView},",
        FUZZ,
    ),
    _bug(
        "customers are not locked",
        "P1 P12",
        "runtime.migrate",
        MIGRATIONS_READ,
        _sql("               for no key update) as locked;", "               ) as locked;"),
        CONTENTION,
    ),
    _bug(
        "synchronous_commit off",
        "P5 P8",
        "runtime.postgres_process",
        "synchronous_commit = on",
        "synchronous_commit = off",
        "tests/races/test_http_kills.py::test_acknowledged_debits_survive_kills",
    ),
)
# The same bugs once more: each must also be noticed by the rig that looks at the whole. A stale state used where states
# are read again is not among them: the write compares versions, so a history shows it by chance only.
_NOTICED_TOO = {
    "committed state not published to checks": HISTORY,
    "no notice to other processes": HISTORY,
    "a write does not compare the versions that it was decided on": HISTORY,
    "what a commit returns read from the wrong field": HISTORY,
    "release frees the wrong field": "tests/rigs/test_model_machine.py::test_the_core_follows_the_model",
    "over only after the instant of expiry": TIME_MACHINE + "test_boundaries_to_the_microsecond",
    "time happens in the sweep only": TIME_MACHINE + "test_boundaries_by_the_test_clock",
    "boundaries from the period before, not from the anchor": TIME_MACHINE + "test_periods_tile_the_line",
}
_AGAIN = [
    bug._replace(name=f"{bug.name} (the whole)", catchers=(_NOTICED_TOO[bug.name],))
    for bug in _ALL
    if bug.name in _NOTICED_TOO
]
BUGS = {bug.name: bug for bug in (*_ALL, *_AGAIN)}
