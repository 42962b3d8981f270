dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

function request()
  local events = {}
  for i = 1, 500 do
    events[i] = string.format(
      '{"external_customer_id":"%s-%d","billable_metric_key":"api_calls","units":1,"idempotency_key":"%s"}',
      name, math.random(customers), next_key())
  end
  return wrk.format("POST", "/v1/usage/batch", headers, '{"events":[' .. table.concat(events, ",") .. "]}")
end
