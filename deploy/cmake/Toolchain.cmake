# Compiler, linker and flags common to everything that Remora compiles itself.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Dev" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")

# Frame pointers stay in Release: they cost under a percent and make every
# profile of a running proxy readable.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG -g1 -fno-omit-frame-pointer")
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG -g1 -fno-omit-frame-pointer")
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_C_FLAGS_DEV "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_EXE_LINKER_FLAGS_DEV "")

find_program(REMORA_CCACHE ccache)
if(REMORA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${REMORA_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${REMORA_CCACHE}")
endif()

find_program(REMORA_MOLD mold)
find_program(REMORA_LLD NAMES ld.lld ld.lld-19)
if(REMORA_MOLD AND NOT REMORA_LTO)
  add_link_options(-fuse-ld=mold)
elseif(REMORA_LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()
add_link_options(-Wl,--as-needed -Wl,-z,relro,-z,now)

if(REMORA_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

# Deprecated fields of the API are what control planes still send.
set(REMORA_WARNINGS -Wall -Wextra -Werror -Wno-missing-field-initializers
  -Wno-deprecated-declarations)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these falsely inside the standard library and abseil once it
  # inlines (GCC bugs 105651, 105329, 105562), so they warn without failing.
  list(APPEND REMORA_WARNINGS -Wno-restrict -Wno-error=maybe-uninitialized
    -Wno-error=array-bounds -Wno-error=stringop-overflow
    -Wno-error=stringop-overread -Wno-error=dangling-pointer
    -Wno-error=free-nonheap-object)
endif()

if(REMORA_SANITIZE)
  set(sanitizer_flags -fsanitize=${REMORA_SANITIZE} -fno-omit-frame-pointer)
  if(REMORA_SANITIZE MATCHES undefined)
    list(APPEND sanitizer_flags -fno-sanitize-recover=undefined
      -fno-sanitize=vptr)
  endif()
  # Debian's libraries know nothing of ThreadSanitizer, but protobuf's headers
  # lay out maps otherwise where this is defined.
  if(REMORA_SANITIZE MATCHES thread)
    list(APPEND sanitizer_flags -U__SANITIZE_THREAD__)
  endif()
  # With instrumentation the optimiser sees paths that do not exist.
  list(APPEND REMORA_WARNINGS -Wno-maybe-uninitialized)
  add_compile_options(${sanitizer_flags})
  add_link_options(${sanitizer_flags})
endif()
