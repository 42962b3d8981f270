dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

-- Checks of callers who ask now and then: each connection waits between two, so that they show what a check takes and
-- are no load of their own.
local pause_ms = tonumber(os.getenv("BENCH_PAUSE_MS") or "20")

function delay()
  return math.random(0, 2 * pause_ms)
end

function request()
  return wrk.format("GET", string.format(
    "/v1/entitlements/check?external_customer_id=%s-%d&billable_metric_key=api_calls", name, math.random(customers)), headers)
end
