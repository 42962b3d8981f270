dofile(os.getenv("BENCH_SCRIPTS") .. "/hello.lua")
dofile(os.getenv("BENCH_SCRIPTS") .. "/pace.lua")

local ask = request

function request()
  wait_for_turn()
  return ask()
end
