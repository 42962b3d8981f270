dofile(os.getenv("BENCH_SCRIPTS") .. "/check.lua")
dofile(os.getenv("BENCH_SCRIPTS") .. "/pace.lua")
