-- What every load script shares: the key, the customers, and a result line that the runner reads.
local api_key = os.getenv("BENCH_API_KEY")
local prefix = os.getenv("BENCH_PREFIX") or "b"

headers = { ["X-API-Key"] = api_key, ["Content-Type"] = "application/json" }
-- What the customers' ids begin with.
name = os.getenv("BENCH_NAME") or "customer"
customers = tonumber(os.getenv("BENCH_CUSTOMERS") or "10000")

local threads = 0
function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

local count = 0
function next_key()
  count = count + 1
  return prefix .. ":" .. thread_number .. ":" .. count
end

-- With many environments each request takes the key of another one.
local keys = {}
if os.getenv("BENCH_KEYS_FILE") then
  for line in io.lines(os.getenv("BENCH_KEYS_FILE")) do
    keys[#keys + 1] = line
  end
end

environments = math.max(1, #keys)

-- The environment of that number, counted from 0; any one where none is given.
function choose_environment(number)
  if #keys > 0 then
    headers["X-API-Key"] = keys[number and number + 1 or math.random(#keys)]
  end
end

-- The names of the statuses that a run met, counted per thread and summed at the end.
refused = 0
function response(status)
  if status >= 300 then refused = refused + 1 end
end

function done(summary, latency, requests)
  io.write(string.format(
    "RESULT {\"requests\": %d, \"seconds\": %.6f, \"p50_us\": %d, \"p95_us\": %d, \"p99_us\": %d, \"errors\": %d, \"socket_errors\": %d}\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
