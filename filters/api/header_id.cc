#include "filters/api/header_id.h"

#include <array>

namespace remora {
namespace {

constexpr absl::string_view kNames[] = {
#define REMORA_HEADER_NAME(id, name) name,
    REMORA_PSEUDO_HEADERS(REMORA_HEADER_NAME) REMORA_INTERNED_HEADERS(REMORA_HEADER_NAME)
#undef REMORA_HEADER_NAME
};

// Open addressing over a hash of length and four characters; names are compared once at most in
// the usual case. 1,024 slots for about 130 names keep probes short.
class NameTable {
 public:
  NameTable() {
    slots_.fill(kHeaderIdCount);
    for (uint16_t i = 0; i < kHeaderIdCount; ++i) {
      size_t slot = Hash(kNames[i]);
      while (slots_[slot] != kHeaderIdCount) slot = (slot + 1) & kMask;
      slots_[slot] = i;
    }
  }

  HeaderId Find(absl::string_view name) const {
    for (size_t slot = Hash(name);; slot = (slot + 1) & kMask) {
      const uint16_t id = slots_[slot];
      if (id == kHeaderIdCount) return HeaderId::kOther;
      if (kNames[id] == name) return static_cast<HeaderId>(id);
    }
  }

 private:
  static constexpr size_t kMask = 1023;

  static size_t Hash(absl::string_view name) {
    const size_t n = name.size();
    if (n == 0) return 0;
    const auto at = [&](size_t i) { return static_cast<unsigned char>(name[i]); };
    uint32_t h = static_cast<uint32_t>(n) * 0x9E3779B1u;
    h ^= at(0) * 0x85EBCA6Bu;
    h ^= at(n / 2) * 0xC2B2AE35u;
    h ^= at(n - 1) * 0x27D4EB2Fu;
    h ^= at(n * 3 / 4) * 0x165667B1u;
    return (h ^ (h >> 15)) & kMask;
  }

  std::array<uint16_t, kMask + 1> slots_;
};

const NameTable& Table() {
  static const NameTable table;
  return table;
}

}  // namespace

HeaderId LookUpHeader(absl::string_view lower_name) { return Table().Find(lower_name); }

absl::string_view HeaderName(HeaderId id) { return kNames[static_cast<uint16_t>(id)]; }

}  // namespace remora
