# What every target of the project is compiled with.
add_library(ebbtide_options INTERFACE)
target_compile_options(ebbtide_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wimplicit-fallthrough -Wswitch -Werror)
target_include_directories(ebbtide_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(ebbtide_options INTERFACE EBBTIDE_VERSION="${PROJECT_VERSION}")

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(ebbtide_options INTERFACE -g -fstack-protector-strong)
  target_compile_definitions(ebbtide_options INTERFACE _FORTIFY_SOURCE=2 _GLIBCXX_ASSERTIONS)
endif()
if(EBBTIDE_SANITIZE)
  target_compile_options(ebbtide_options INTERFACE
    -fsanitize=${EBBTIDE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(ebbtide_options INTERFACE -fsanitize=${EBBTIDE_SANITIZE})
endif()
add_link_options(-fuse-ld=lld)

find_program(EBBTIDE_CCACHE ccache)
if(EBBTIDE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${EBBTIDE_CCACHE})
endif()

# ebbtide_library(name SOURCES … LINK …): a static library of the project.
function(ebbtide_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ebbtide_options ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
endfunction()

# ebbtide_test(name SOURCES … LINK … [LABELS …] [TIMEOUT s]): a GoogleTest program that ctest runs whole.
function(ebbtide_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)  # a sanitizer takes ten times as long
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ebbtide_options ${ARG_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT TARGET test_programs)
    add_custom_target(test_programs)  # what ctest needs, without the server and the measurements
  endif()
  add_dependencies(test_programs ${name})
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
