dofile(os.getenv("BENCH_SCRIPTS") .. "/check.lua")
dofile(os.getenv("BENCH_SCRIPTS") .. "/pace.lua")

local ask = request

function request()
  wait_for_turn()
  return ask()
end
