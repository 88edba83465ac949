# What Remora links: Debian's libraries by pkg-config, and the two that
# deploy/build/deps makes. Configuring works before these exist; building the
# targets that use them does not.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(remora_need name module)
  pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${module} is missing: run deploy/build/packages")
  endif()
endfunction()

remora_need(uv libuv)
remora_need(nghttp2 libnghttp2)
remora_need(cares libcares)
remora_need(re2 re2)
remora_need(spdlog spdlog)
remora_need(fmt fmt)
remora_need(xxhash libxxhash)
remora_need(yaml yaml-cpp)
remora_need(protobuf protobuf)
remora_need(zlib zlib)
remora_need(brotlienc libbrotlienc)
remora_need(brotlidec libbrotlidec)
remora_need(zstd libzstd)
remora_need(curl libcurl)
remora_need(grpc grpc++)
remora_need(openssl openssl)

find_package(absl QUIET CONFIG)
if(NOT absl_FOUND)
  message(FATAL_ERROR "abseil is missing: run deploy/build/packages")
endif()
find_package(GTest QUIET)
find_package(benchmark QUIET)

# Abseil as one name: which of its libraries a room uses is not worth a list.
add_library(remora_absl INTERFACE)
target_link_libraries(remora_absl INTERFACE
  absl::base absl::btree absl::cleanup absl::cord absl::any_invocable
  absl::fixed_array absl::flat_hash_map absl::flat_hash_set
  absl::function_ref absl::hash absl::inlined_vector absl::memory
  absl::node_hash_map absl::optional absl::random_random absl::span
  absl::status absl::statusor absl::str_format absl::strings
  absl::symbolize absl::synchronization absl::time absl::variant)

# BoringSSL, never on the path of what links Debian's OpenSSL (grpc++, curl).
set(boringssl_include "")
if(BORINGSSL_ROOT)
  set(boringssl_include "${BORINGSSL_ROOT}/include")
  set(boringssl_lib "${BORINGSSL_ROOT}/lib")
elseif(EXISTS "${REMORA_DEPS}/boringssl/READY"
       OR NOT EXISTS /usr/include/android/openssl/ssl.h)
  set(boringssl_include "${REMORA_DEPS}/boringssl/include")
  set(boringssl_lib "${REMORA_DEPS}/boringssl/lib")
endif()
add_library(remora_boringssl INTERFACE)
if(boringssl_include)
  target_include_directories(remora_boringssl SYSTEM BEFORE INTERFACE
    "${boringssl_include}")
  target_link_libraries(remora_boringssl INTERFACE
    "${boringssl_lib}/libssl.a" "${boringssl_lib}/libcrypto.a"
    Threads::Threads)
else()
  message(STATUS "BoringSSL: Debian's of 2022; deploy/build/boringssl makes "
    "a current one")
  set(boringssl_lib "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/android")
  target_include_directories(remora_boringssl SYSTEM BEFORE INTERFACE
    /usr/include/android)
  target_link_options(remora_boringssl INTERFACE "-Wl,-rpath,${boringssl_lib}")
  target_link_libraries(remora_boringssl INTERFACE
    "${boringssl_lib}/libssl.so" "${boringssl_lib}/libcrypto.so")
endif()

# The Envoy API. Its headers are slow to compile: .cc files only.
set(protos "${REMORA_DEPS}/xds-protos")
file(MAKE_DIRECTORY "${protos}/gen")
add_library(remora_protos INTERFACE)
target_include_directories(remora_protos SYSTEM INTERFACE "${protos}/gen")
target_link_libraries(remora_protos INTERFACE "${protos}/libxds_protos.a"
  PkgConfig::protobuf)

# The API's gRPC stubs: for the control plane and for the peers of tests. They
# bring OpenSSL, so nothing that links BoringSSL may link them.
add_library(remora_grpc_protos INTERFACE)
target_link_libraries(remora_grpc_protos INTERFACE "${protos}/libxds_grpc.a"
  remora_protos PkgConfig::grpc)
