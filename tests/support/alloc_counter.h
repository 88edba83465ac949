#ifndef REMORA_TESTS_SUPPORT_ALLOC_COUNTER_H_
#define REMORA_TESTS_SUPPORT_ALLOC_COUNTER_H_

#include <cstdint>

namespace remora {

// Calls of malloc, calloc, realloc and so of operator new made by this thread. Counted by
// replacements of these functions that the test executable brings; under a sanitizer, which brings
// its own, nothing is counted and AllocationsAreCounted() is false.
uint64_t AllocationCount();
bool AllocationsAreCounted();

}  // namespace remora

#endif  // REMORA_TESTS_SUPPORT_ALLOC_COUNTER_H_
