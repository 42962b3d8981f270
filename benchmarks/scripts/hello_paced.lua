dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

-- The raw application asked as check_paced asks for checks: what a request waits on this machine at this time, whoever
-- answers it.
local pause_ms = tonumber(os.getenv("BENCH_PAUSE_MS") or "20")

function delay()
  return math.random(0, 2 * pause_ms)
end

function request()
  return wrk.format("GET", string.format(
    "/hello?external_customer_id=customer-%d&billable_metric_key=api_calls", math.random(customers)), headers)
end
