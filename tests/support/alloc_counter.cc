#include "tests/support/alloc_counter.h"

#include <cstddef>

#ifdef REMORA_SANITIZED
#define REMORA_COUNTS_ALLOCATIONS 0
#else
#define REMORA_COUNTS_ALLOCATIONS 1
#endif

namespace {
thread_local uint64_t allocation_count;
}  // namespace

#if REMORA_COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);

void* malloc(size_t size) {
  ++allocation_count;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++allocation_count;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
  ++allocation_count;
  return __libc_realloc(memory, size);
}
}
#endif

namespace remora {

uint64_t AllocationCount() { return allocation_count; }
bool AllocationsAreCounted() { return REMORA_COUNTS_ALLOCATIONS != 0; }

}  // namespace remora
