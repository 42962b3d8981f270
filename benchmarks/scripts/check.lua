dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

function request()
  return wrk.format("GET", string.format(
    "/v1/entitlements/check?external_customer_id=customer-%d&billable_metric_key=api_calls", math.random(customers)), headers)
end
