-- The script before this one, asking so many requests a second over all connections of a thread, one after the other: wrk's own pauses end at full
-- milliseconds, and so a dozen requests came at once and waited for each other.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } timespec_t;
  int clock_gettime(int clock, timespec_t *now);
  int clock_nanosleep(int clock, int flags, const timespec_t *until, timespec_t *rest);
  int prctl(int option, unsigned long value);
]]
local MONOTONIC, ABSOLUTE, SET_TIMER_SLACK = 1, 1, 29
-- Who is so far behind begins anew: what a stop of the machine held up is not sent at once.
local BEHIND_MAX_NS = 2e6

local gap_ns = 1e9 / tonumber(os.getenv("BENCH_PER_SECOND") or "1000")
local clock = ffi.new("timespec_t")
local turn_ns

-- The kernel lets sleepers sleep 50 us longer, which is more than lies between two requests.
local function is_exact()
  return ffi.C.prctl(SET_TIMER_SLACK, 1) == 0
end

local function wait_for_turn()
  ffi.C.clock_gettime(MONOTONIC, clock)
  local now_ns = tonumber(clock.seconds) * 1e9 + tonumber(clock.nanoseconds)
  if not turn_ns then assert(is_exact()) end
  if not turn_ns or now_ns - turn_ns > BEHIND_MAX_NS then turn_ns = now_ns end
  if turn_ns > now_ns then
    clock.seconds = math.floor(turn_ns / 1e9)
    clock.nanoseconds = turn_ns % 1e9
    ffi.C.clock_nanosleep(MONOTONIC, ABSOLUTE, clock, nil)
  end
  -- As callers come who know nothing of each other.
  turn_ns = turn_ns - gap_ns * math.log(1 - math.random())
end

local ask = request

function request()
  wait_for_turn()
  return ask()
end
