# g++ 12 destroys temporaries inside co_await twice, silently. Any compiler that does is refused here, by a program
# that counts (cmake/coroutine_probe.cpp), not by its name.
if(NOT DEFINED EBBTIDE_COROUTINES_SOUND)
  try_run(EBBTIDE_PROBE_RAN EBBTIDE_PROBE_BUILT
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/coroutine_probe.cpp
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON
    COMPILE_OUTPUT_VARIABLE EBBTIDE_PROBE_LOG)
  if(NOT EBBTIDE_PROBE_BUILT)
    message(FATAL_ERROR "This compiler can't build C++20 coroutines: use clang 16 "
      "(apt-get install clang-16; cmake --preset dev).\n${EBBTIDE_PROBE_LOG}")
  endif()
  if(NOT EBBTIDE_PROBE_RAN EQUAL 0)
    message(FATAL_ERROR "This compiler (${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}) miscompiles "
      "temporaries inside co_await: objects are destroyed twice. Use clang 16 "
      "(apt-get install clang-16; cmake --preset dev).")
  endif()
  set(EBBTIDE_COROUTINES_SOUND TRUE CACHE INTERNAL "the coroutine probe passed")
endif()
