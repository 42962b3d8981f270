"""The named steps at which a process may fall: before, inside or after a function of the product.

Standard library only: it is read at the start of every process that can fall. A point that names a function that is
no longer there stops the process, so that a renamed step can not pass for one that was survived.
"""

from typing import NamedTuple

BEFORE = "before"
AFTER = "after"
# The function has sent what it has to say and has not got its answer.
SENT = "sent"
# The function is about to write an answer: half of its bytes go out.
HALF = "half"


class Point(NamedTuple):
    """A step: ``moment`` of ``function`` in ``module``, if ``mark`` was set earlier in the same task."""

    name: str
    module: str
    function: str
    moment: str
    mark: str = ""
    only_writes: bool = False


class Carrier(NamedTuple):
    """A function among whose arguments is the connection that later points cut; it sets ``mark`` for its task."""

    module: str
    function: str
    mark: str
    is_command: bool = False


CARRIERS = (
    Carrier("engine.batch", "run_batch", "", is_command=True),
    Carrier("services.idempotency", "claim_key", "catalog", is_command=True),
    Carrier("services.webhook_delivery", "lock_lanes", "lanes"),
    Carrier("services.webhook_delivery", "update_deliveries", "results"),
    Carrier("services.due_customers", "claim_due_customers", ""),
    Carrier("services.webhook_delivery", "claim_lanes", ""),
)

# A command on a customer whom the server remembers: decided as it comes, then one call, or locks that are compared.
REMEMBERED = (
    Point("remembered: decided, before the write", "engine.batch", "_write_remembered", BEFORE),
    Point("remembered: locks compared", "engine.environment_batch", "EnvironmentBatch.still_holds", AFTER),
    Point("remembered: before the one call", "engine.batch", "write_known", BEFORE),
    Point("remembered: the one call sent", "engine.batch", "write_known", SENT),
    Point("remembered: after the one call", "engine.batch", "write_known", AFTER),
)
# A command on a customer, through the engine.
ENGINE = (
    *REMEMBERED,
    Point("before the locks", "engine.environment_batch", "EnvironmentBatch.read", BEFORE),
    Point("after the read", "engine.environment_batch", "EnvironmentBatch.read", AFTER),
    Point("after the decision", "engine.environment_batch", "EnvironmentBatch.decide", AFTER),
    Point("before the hot write", "engine.batch", "write_hot", BEFORE),
    Point("after the hot write", "engine.batch", "write_hot", AFTER),
    Point("after all writes, before COMMIT", "engine.batch", "commit", BEFORE),
    Point("COMMIT sent", "engine.batch", "commit", SENT),
    Point("after COMMIT, before the publishing", "engine.batch", "commit", AFTER),
    Point("after the publishing, before the answer", "engine.publishing", "Publishing._publish", AFTER),
)
# A write of configuration or catalog, in a transaction of its own.
CATALOG = (
    Point("catalog: before the key", "services.idempotency", "claim_key", BEFORE),
    Point("catalog: after the key", "services.idempotency", "claim_key", AFTER),
    Point("catalog: after the work", "services.idempotency", "bind_answer", BEFORE),
    Point("catalog: before COMMIT", "services.idempotency", "bind_answer", AFTER),
    Point("catalog: COMMIT sent", "runtime.tenancy", "commit", SENT, "catalog"),
    Point("catalog: after COMMIT", "runtime.tenancy", "commit", AFTER, "catalog"),
)
# Both end here.
ANSWER = (
    Point(
        "before the answer is written", "api.http_protocol", "HttpProtocol.respond", BEFORE, only_writes=True
    ),
    Point(
        "half of the answer is written", "api.http_protocol", "HttpProtocol.respond", HALF, only_writes=True
    ),
)
SWEEP = (
    Point("sweep: before the claim", "services.due_customers", "claim_due_customers", BEFORE),
    Point("sweep: after the claim", "services.due_customers", "claim_due_customers", AFTER),
    Point("sweep: after an item", "services.due_customers", "_advance", AFTER),
)
DELIVERY = (
    Point("delivery: before the claim", "services.webhook_delivery", "claim_lanes", BEFORE),
    Point("delivery: after the claim", "services.webhook_delivery", "claim_lanes", AFTER),
    Point("delivery: lanes are locked", "services.webhook_delivery", "lock_lanes", AFTER),
    Point("delivery: lanes opened, COMMIT sent", "runtime.tenancy", "commit", SENT, "lanes"),
    Point("delivery: before the connection", "workers.sender", "Sender.send", BEFORE),
    Point("delivery: request sent", "workers.sender", "Sender.send", SENT),
    Point("delivery: answered, before it is recorded", "workers.sender", "Sender.send", AFTER),
    Point("delivery: recorded, before COMMIT", "services.webhook_delivery", "update_deliveries", AFTER),
    Point("delivery: recorded, COMMIT sent", "runtime.tenancy", "commit", SENT, "results"),
    Point("delivery: recorded, after COMMIT", "runtime.tenancy", "commit", AFTER, "results"),
)
# Before each statement of a migration; the number of the statement stands in the armed file.
MIGRATION = (Point("migration: before a statement", "runtime.migrate", "migrate", BEFORE),)

ALL = (*ENGINE, *CATALOG, *ANSWER, *SWEEP, *DELIVERY, *MIGRATION)
