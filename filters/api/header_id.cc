#include "filters/api/header_id.h"

#include <cstring>

namespace remora {
namespace {

constexpr absl::string_view kNames[] = {
#define REMORA_HEADER_NAME(id, name) name,
    REMORA_PSEUDO_HEADERS(REMORA_HEADER_NAME) REMORA_INTERNED_HEADERS(REMORA_HEADER_NAME)
#undef REMORA_HEADER_NAME
};

constexpr size_t kSlots = 1024;

constexpr size_t Hash(const char* name, size_t n) {
  const auto at = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(name[i]));
  };
  uint32_t h = static_cast<uint32_t>(n) * 0x9E3779B1u;
  h ^= at(0) * 0x85EBCA6Bu;
  h ^= at(n / 2) * 0xC2B2AE35u;
  h ^= at(n - 1) * 0x27D4EB2Fu;
  h ^= at(n * 3 / 4) * 0x165667B1u;
  return (h ^ (h >> 15)) & (kSlots - 1);
}

// Open addressing over a hash of length and four characters, made by the compiler; names are
// compared once at most in the usual case. 1,024 slots for about 130 names keep probes short.
struct NameTable {
  constexpr NameTable() {
    for (uint16_t& slot : slots) slot = kHeaderIdCount;
    for (uint16_t i = 0; i < kHeaderIdCount; ++i) {
      size_t slot = Hash(kNames[i].data(), kNames[i].size());
      while (slots[slot] != kHeaderIdCount) slot = (slot + 1) & (kSlots - 1);
      slots[slot] = i;
    }
  }
  uint16_t slots[kSlots] = {};
};

constexpr NameTable kTable;

}  // namespace

HeaderId LookUpHeader(absl::string_view lower_name) {
  const size_t n = lower_name.size();
  if (n == 0) return HeaderId::kOther;
  for (size_t slot = Hash(lower_name.data(), n);; slot = (slot + 1) & (kSlots - 1)) {
    const uint16_t id = kTable.slots[slot];
    if (id == kHeaderIdCount) return HeaderId::kOther;
    if (kNames[id].size() == n && std::memcmp(kNames[id].data(), lower_name.data(), n) == 0) {
      return static_cast<HeaderId>(id);
    }
  }
}

absl::string_view HeaderName(HeaderId id) { return kNames[static_cast<uint16_t>(id)]; }

}  // namespace remora
