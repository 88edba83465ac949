#ifndef REMORA_PROXY_CODEC_FIELD_TEXT_H_
#define REMORA_PROXY_CODEC_FIELD_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace remora::proxy {

// Character classes and small grammars of HTTP fields (RFC 9110 section 5), by table and, where a
// run is long, sixteen bytes at a time.

enum CharClass : uint8_t {
  kTokenChar = 1,   // tchar
  kTargetChar = 2,  // what may stand in a request target: VCHAR
  kHostChar = 4,    // reg-name, IP literal and port, percent-encoding included
  kValueChar = 8,   // field-value: HTAB, SP, VCHAR, obs-text
  kSchemeChar = 16,
};

extern const uint8_t kCharClasses[256];

inline bool IsChar(char c, CharClass which) {
  return (kCharClasses[static_cast<uint8_t>(c)] & which) != 0;
}

// True when every byte of `text` is of the class; true for "".
bool AllOf(absl::string_view text, CharClass which);

// The first control character other than HTAB (CR and LF among them, DEL too), or `end`.
const char* FindControl(const char* begin, const char* end);

// Writes `size` bytes of `from` in lower case (A-Z only); `from` must be ASCII tokens.
void CopyLower(char* to, const char* from, size_t size);

// Without SP and HTAB at both ends.
absl::string_view TrimBlanks(absl::string_view text);

// One or more digits, no leading zero, at most 2^63 - 1.
std::optional<uint64_t> ParseContentLength(absl::string_view text);

// host[:port] with nothing else: no userinfo, comma, blank or second colon outside brackets.
bool IsValidHost(absl::string_view host);

// Splits a comma-separated list: calls fn(trimmed element) for each that is not empty, until fn
// returns false.
template <typename Fn>
void ForEachListElement(absl::string_view list, Fn&& fn) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const absl::string_view element = TrimBlanks(list.substr(0, comma));
    list = comma == absl::string_view::npos ? absl::string_view() : list.substr(comma + 1);
    if (!element.empty() && !fn(element)) return;
  }
}

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_FIELD_TEXT_H_
