#include "proxy/codec/field_text.h"

#include <array>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace remora::proxy {
namespace {

constexpr bool IsAlnum(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

constexpr bool IsOneOf(int c, const char* set) {
  for (; *set != 0; ++set) {
    if (*set == c) return true;
  }
  return false;
}

constexpr uint8_t Classify(int c) {
  uint8_t classes = 0;
  if (IsAlnum(c) || IsOneOf(c, "!#$%&'*+-.^_`|~")) classes |= kTokenChar;
  if (c > 0x20 && c < 0x7f) classes |= kTargetChar;
  if (IsAlnum(c) || IsOneOf(c, "-._~!$&'()*+;=%:[]")) classes |= kHostChar;
  if (c == '\t' || (c >= 0x20 && c != 0x7f)) classes |= kValueChar;
  if (IsAlnum(c) || IsOneOf(c, "+-.")) classes |= kSchemeChar;
  return classes;
}

constexpr bool IsControl(uint8_t c) { return (c < 0x20 && c != '\t') || c == 0x7f; }

bool IsPort(absl::string_view port) {
  if (port.size() > 5) return false;
  uint32_t value = 0;
  for (const char c : port) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  return value <= 65535;
}

}  // namespace

#define REMORA_C4(n) Classify(n), Classify(n + 1), Classify(n + 2), Classify(n + 3)
#define REMORA_C16(n) REMORA_C4(n), REMORA_C4(n + 4), REMORA_C4(n + 8), REMORA_C4(n + 12)
#define REMORA_C64(n) REMORA_C16(n), REMORA_C16(n + 16), REMORA_C16(n + 32), REMORA_C16(n + 48)
constinit const uint8_t kCharClasses[256] = {REMORA_C64(0), REMORA_C64(64), REMORA_C64(128),
                                             REMORA_C64(192)};
#undef REMORA_C64
#undef REMORA_C16
#undef REMORA_C4

bool AllOf(absl::string_view text, CharClass which) {
  uint8_t all = which;
  for (const char c : text) all &= kCharClasses[static_cast<uint8_t>(c)];
  return all != 0;
}

const char* FindControl(const char* begin, const char* end) {
#ifdef __SSE2__
  const __m128i blank = _mm_set1_epi8(0x20);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  const __m128i zero = _mm_setzero_si128();
  for (; end - begin >= 16; begin += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
    // Unsigned bytes < 0x20 are those that saturate to zero when 0x1f is taken away.
    const __m128i low =
        _mm_cmpeq_epi8(_mm_subs_epu8(bytes, _mm_sub_epi8(blank, _mm_set1_epi8(1))), zero);
    const __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const int mask = _mm_movemask_epi8(bad);
    if (mask != 0) return begin + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  for (; begin != end; ++begin) {
    if (IsControl(static_cast<uint8_t>(*begin))) return begin;
  }
  return end;
}

void CopyLower(char* to, const char* from, size_t size) {
  // Eight at a time: a byte is an upper-case letter when adding 0x3f carries into its top bit and
  // adding 0x25 does not. Valid for bytes below 0x80, which tokens are.
  while (size >= 8) {
    uint64_t word;
    std::memcpy(&word, from, 8);
    const uint64_t from_a = word + 0x3f3f3f3f3f3f3f3full;
    const uint64_t over_z = word + 0x2525252525252525ull;
    word |= ((from_a & ~over_z & 0x8080808080808080ull) >> 2);
    std::memcpy(to, &word, 8);
    to += 8;
    from += 8;
    size -= 8;
  }
  for (size_t i = 0; i < size; ++i) {
    const char c = from[i];
    to[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
}

absl::string_view TrimBlanks(absl::string_view text) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (begin != end && (*begin == ' ' || *begin == '\t')) ++begin;
  while (begin != end && (end[-1] == ' ' || end[-1] == '\t')) --end;
  return {begin, static_cast<size_t>(end - begin)};
}

std::optional<uint64_t> ParseContentLength(absl::string_view text) {
  if (text.empty() || text.size() > 19 || (text.size() > 1 && text.front() == '0')) {
    return std::nullopt;
  }
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (value > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return value;
}

bool IsValidHost(absl::string_view host) {
  if (host.empty() || !AllOf(host, kHostChar)) return false;
  if (host.front() == '[') {
    const size_t close = host.find(']');
    if (close == absl::string_view::npos || close < 3) return false;
    const absl::string_view rest = host.substr(close + 1);
    if (host.substr(1, close - 1).find('[') != absl::string_view::npos) return false;
    return rest.empty() || (rest.front() == ':' && IsPort(rest.substr(1)));
  }
  if (host.find_first_of("[]") != absl::string_view::npos) return false;
  const size_t colon = host.find(':');
  if (colon == absl::string_view::npos) return true;
  return colon != 0 && IsPort(host.substr(colon + 1));
}

}  // namespace remora::proxy
