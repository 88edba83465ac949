# Tests: one GoogleTest executable per room from tests/<room>/**_test.cc, the
# lint of the house's rules, the peers that whole-process tests start, and the
# fuzzers. ctest runs the first two; tests/run also the whole-process tests.

enable_testing()
include(GoogleTest)

# remora_room_tests(NAME FOLDER LINK ... [EXCLUDE REGEX])
# Support code: tests/support/*.cc for the proxy's tests, which may use all
# rooms, and tests/support/<room>/*.cc for the others', which may not; all count
# allocations.
function(remora_room_tests name folder)
  cmake_parse_arguments(arg "" "EXCLUDE;SUPPORT" "LINK" ${ARGN})
  remora_sources(found tests/${folder} EXCLUDE "${arg_EXCLUDE}")
  list(FILTER found INCLUDE REGEX "_test\\.cc$")
  if(NOT found OR NOT GTest_FOUND)
    return()
  endif()
  file(GLOB support CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${arg_SUPPORT}/*.cc")
  list(APPEND support "${CMAKE_SOURCE_DIR}/tests/support/alloc_counter.cc")
  list(REMOVE_DUPLICATES support)
  add_executable(${name} ${found} ${support})
  target_compile_options(${name} PRIVATE ${REMORA_WARNINGS})
  target_compile_definitions(${name} PRIVATE
    REMORA_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    REMORA_BINARY_DIR="${CMAKE_BINARY_DIR}"
    $<$<BOOL:${REMORA_SANITIZE}>:REMORA_SANITIZED>)
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gmock
    GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT 120)
endfunction()

remora_room_tests(remora_lb_tests lb SUPPORT tests/support/lb LINK remora_lb)
remora_room_tests(remora_health_tests health SUPPORT tests/support/health
  LINK remora_health)
remora_room_tests(remora_filters_tests filters SUPPORT tests/support/filters
  LINK remora_filters)
remora_room_tests(remora_xds_tests xds EXCLUDE tests/xds/control/
  SUPPORT tests/support/xds LINK remora_xds)
remora_room_tests(remora_control_tests xds/control
  SUPPORT tests/support/control LINK remora_control)
remora_room_tests(remora_proxy_tests proxy SUPPORT tests/support
  LINK remora_proxy)

# Node's parser, in its strict build, as the differential oracle of the HTTP/1
# codec (Debian's node-llhttp brings the C sources).
if(TARGET remora_proxy_tests AND EXISTS /usr/share/llhttp/llhttp.c)
  file(GLOB llhttp /usr/share/llhttp/*.c)
  add_library(remora_llhttp STATIC ${llhttp})
  target_compile_definitions(remora_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_include_directories(remora_llhttp SYSTEM PUBLIC
    /usr/share/include/llhttp)
  target_compile_definitions(remora_proxy_tests PRIVATE REMORA_HAVE_LLHTTP)
  target_link_libraries(remora_proxy_tests PRIVATE remora_llhttp)
endif()

find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_FOUND AND EXISTS "${CMAKE_SOURCE_DIR}/tests/lint/rules.py")
  add_test(NAME lint.rules
    COMMAND "${Python3_EXECUTABLE}" tests/lint/rules.py
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  add_test(NAME lint.rules_bite
    COMMAND "${Python3_EXECUTABLE}" -B tests/lint/rules_test.py
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  add_test(NAME lint.format
    COMMAND "${Python3_EXECUTABLE}" tests/lint/format.py
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(lint.format PROPERTIES SKIP_RETURN_CODE 77)
endif()

# gRPC peers: every tests/peers/x.cc is an executable of its own; the services
# they speak are tests/peers/*.proto.
file(GLOB peers CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/peers/*.cc")
file(GLOB peer_protos CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/peers/*.proto")
if(peers)
  find_program(REMORA_PROTOC protoc)
  find_program(REMORA_GRPC_PLUGIN grpc_cpp_plugin)
  set(peer_generated "")
  foreach(proto ${peer_protos})
    get_filename_component(stem "${proto}" NAME_WE)
    set(base "${CMAKE_BINARY_DIR}/gen/tests/peers/${stem}")
    add_custom_command(
      OUTPUT "${base}.pb.cc" "${base}.pb.h" "${base}.grpc.pb.cc"
             "${base}.grpc.pb.h"
      COMMAND "${REMORA_PROTOC}" -I "${CMAKE_SOURCE_DIR}"
        --cpp_out=${CMAKE_BINARY_DIR}/gen --grpc_out=${CMAKE_BINARY_DIR}/gen
        --plugin=protoc-gen-grpc=${REMORA_GRPC_PLUGIN}
        "tests/peers/${stem}.proto"
      DEPENDS "${proto}")
    list(APPEND peer_generated "${base}.pb.cc" "${base}.grpc.pb.cc")
  endforeach()
  add_library(remora_peer_protos STATIC ${peer_generated}
    "${CMAKE_SOURCE_DIR}/deploy/cmake/empty.cc")
  target_include_directories(remora_peer_protos SYSTEM PUBLIC
    "${CMAKE_BINARY_DIR}/gen")
  target_link_libraries(remora_peer_protos PUBLIC remora_grpc_protos)
  foreach(peer ${peers})
    get_filename_component(stem "${peer}" NAME_WE)
    add_executable(${stem} "${peer}")
    target_include_directories(${stem} PRIVATE "${CMAKE_SOURCE_DIR}")
    target_compile_options(${stem} PRIVATE ${REMORA_WARNINGS})
    target_link_libraries(${stem} PRIVATE remora_peer_protos remora_absl)
    set_target_properties(${stem} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/peers")
  endforeach()
endif()

if(REMORA_FUZZ)
  file(GLOB fuzzers CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.cc")
  foreach(fuzzer ${fuzzers})
    get_filename_component(stem "${fuzzer}" NAME_WE)
    add_executable(${stem} "${fuzzer}")
    target_compile_options(${stem} PRIVATE ${REMORA_WARNINGS}
      -fsanitize=fuzzer)
    target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${stem} PRIVATE remora_proxy)
  endforeach()
endif()
