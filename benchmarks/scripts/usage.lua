dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

function init()
  math.randomseed(os.time() + thread_number)
end

function request()
  choose_environment()
  headers["Idempotency-Key"] = next_key()
  local body = string.format(
    '{"external_customer_id":"%s-%d","billable_metric_key":"%s","units":1}',
    name, math.random(customers), os.getenv("BENCH_METRIC") or "api_calls")
  return wrk.format("POST", "/v1/usage", headers, body)
end
