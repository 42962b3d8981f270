dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

-- Every customer of every environment in turn, so that after as many requests each was asked for once.
local number = tonumber(os.getenv("BENCH_FIRST") or "0")

function request()
  number = number % (customers * environments) + 1
  choose_environment(math.floor((number - 1) / customers))
  return wrk.format("GET", string.format(
    "/v1/entitlements/check?external_customer_id=%s-%d&billable_metric_key=api_calls",
    name, (number - 1) % customers + 1), headers)
end
