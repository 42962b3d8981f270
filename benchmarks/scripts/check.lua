dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

function request()
  choose_environment()
  return wrk.format("GET", string.format(
    "/v1/entitlements/check?external_customer_id=%s-%d&billable_metric_key=api_calls", name, math.random(customers)), headers)
end
