dofile(os.getenv("BENCH_SCRIPTS") .. "/hello.lua")
dofile(os.getenv("BENCH_SCRIPTS") .. "/pace.lua")
