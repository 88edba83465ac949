# The rooms as static libraries, and the executables made of them. A room whose
# folder is still empty is an interface library, so that whoever links it needs
# not ask.

# remora_room(NAME SOURCES... LINK ...)
function(remora_room name)
  cmake_parse_arguments(room "" "" "SOURCES;LINK" ${ARGN})
  if(room_SOURCES)
    add_library(${name} STATIC ${room_SOURCES})
    target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}")
    target_compile_options(${name} PRIVATE ${REMORA_WARNINGS})
    target_link_libraries(${name} PUBLIC ${room_LINK})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE "${CMAKE_SOURCE_DIR}")
    target_link_libraries(${name} INTERFACE ${room_LINK})
  endif()
endfunction()

# remora_sources(VARIABLE FOLDER [EXCLUDE REGEX])
function(remora_sources variable folder)
  cmake_parse_arguments(arg "" "EXCLUDE" "" ${ARGN})
  file(GLOB_RECURSE found CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/*.cc")
  if(arg_EXCLUDE)
    list(FILTER found EXCLUDE REGEX "^${CMAKE_SOURCE_DIR}/${arg_EXCLUDE}")
  endif()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

execute_process(COMMAND git -C "${CMAKE_SOURCE_DIR}" rev-parse HEAD
  OUTPUT_VARIABLE REMORA_REVISION OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT REMORA_REVISION)
  set(REMORA_REVISION "0000000000000000000000000000000000000000")
endif()
configure_file("${CMAKE_SOURCE_DIR}/deploy/cmake/remora_version.h.in"
  "${CMAKE_BINARY_DIR}/gen/remora_version.h")
add_library(remora_version INTERFACE)
target_include_directories(remora_version INTERFACE "${CMAKE_BINARY_DIR}/gen")

remora_sources(lb lb)
remora_room(remora_lb SOURCES ${lb} LINK remora_absl PkgConfig::xxhash)

remora_sources(health health)
remora_room(remora_health SOURCES ${health} LINK remora_lb)

remora_sources(filters filters)
remora_room(remora_filters SOURCES ${filters} LINK remora_absl remora_protos
  remora_boringssl PkgConfig::re2 PkgConfig::fmt PkgConfig::spdlog
  PkgConfig::zlib PkgConfig::brotlienc PkgConfig::brotlidec PkgConfig::zstd)

# The whole API as descriptors, for what is not compiled in.
remora_sources(descriptors xds/protos)
remora_room(remora_descriptors SOURCES ${descriptors} LINK remora_absl
  "${REMORA_DEPS}/xds-protos/libxds_descriptors.a" PkgConfig::protobuf
  PkgConfig::zlib)

remora_sources(xds xds EXCLUDE xds/\(control|protos\)/)
remora_room(remora_xds SOURCES ${xds} LINK remora_health remora_filters
  remora_descriptors remora_protos PkgConfig::yaml)

remora_sources(proxy proxy EXCLUDE proxy/main\\.cc$)
remora_room(remora_proxy SOURCES ${proxy} LINK remora_xds remora_version
  PkgConfig::uv PkgConfig::nghttp2 PkgConfig::cares)

if(EXISTS "${CMAKE_SOURCE_DIR}/proxy/main.cc")
  add_executable(remora proxy/main.cc)
  target_compile_options(remora PRIVATE ${REMORA_WARNINGS})
  target_link_libraries(remora PRIVATE remora_proxy)
endif()

remora_sources(control xds/control EXCLUDE xds/control/main\\.cc$)
remora_room(remora_control SOURCES ${control} LINK remora_absl
  remora_grpc_protos remora_version PkgConfig::openssl PkgConfig::curl
  PkgConfig::uv PkgConfig::yaml PkgConfig::spdlog PkgConfig::fmt)

if(EXISTS "${CMAKE_SOURCE_DIR}/xds/control/main.cc")
  add_executable(remora-control xds/control/main.cc)
  target_compile_options(remora-control PRIVATE ${REMORA_WARNINGS})
  target_link_libraries(remora-control PRIVATE remora_control)
endif()

file(GLOB bench CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bench/*.cc")
if(bench AND benchmark_FOUND)
  add_executable(remora_bench ${bench})
  target_compile_options(remora_bench PRIVATE ${REMORA_WARNINGS})
  target_link_libraries(remora_bench PRIVATE remora_proxy
    benchmark::benchmark_main)
endif()

# What the kernel itself costs, for bench/compare.
if(EXISTS "${CMAKE_SOURCE_DIR}/bench/side/floor.cc")
  add_executable(remora_floor bench/side/floor.cc)
  target_compile_options(remora_floor PRIVATE ${REMORA_WARNINGS})
endif()
