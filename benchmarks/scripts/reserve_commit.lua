dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

-- Each connection's answers come back in order, but wrk does not say on which connection: reservations wait in one list.
local open = {}

function request()
  headers["Idempotency-Key"] = next_key()
  local id = table.remove(open)
  if id then
    return wrk.format("POST", "/v1/reserve/" .. id .. "/commit", headers, "{}")
  end
  return wrk.format("POST", "/v1/reserve", headers, string.format(
    '{"external_customer_id":"%s-%d","billable_metric_key":"api_calls","estimated_units":1}', name, math.random(customers)))
end

function response(status, _, body)
  if status == 201 then
    open[#open + 1] = body:match('"id":"([^"]+)"')
  elseif status >= 300 then
    refused = refused + 1
  end
end
