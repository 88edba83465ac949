#include "xds/validate_values.h"

#include <arpa/inet.h>
#include <re2/re2.h>

#include <algorithm>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "validate/validate.pb.h"

namespace remora::xds {
namespace {

using absl::StrCat;

// Code points, as the rules count characters.
uint64_t Characters(const std::string& text) {
  uint64_t count = 0;
  for (const char c : text) count += (c & 0xc0) != 0x80;
  return count;
}

bool MatchesPattern(const std::string& value, const std::string& pattern) {
  thread_local absl::flat_hash_map<std::string, std::unique_ptr<RE2>> compiled;
  std::unique_ptr<RE2>& re = compiled[pattern];
  if (re == nullptr) re = std::make_unique<RE2>(pattern, RE2::Quiet);
  return RE2::PartialMatch(value, *re);
}

bool IsHeaderName(const std::string& value) {
  size_t begin = !value.empty() && value[0] == ':' ? 1 : 0;
  if (begin == value.size()) return false;
  for (; begin < value.size(); ++begin) {
    const char c = value[begin];
    if (!absl::ascii_isalnum(c) && !absl::StrContains("!#$%&'*+-.^_|~`", c)) {
      return false;
    }
  }
  return true;
}

bool IsHeaderValue(const std::string& value, bool strict) {
  for (const char c : value) {
    if (c == '\0' || c == '\n' || c == '\r') return false;
    if (strict && ((c >= 0 && c < 0x20 && c != '\t') || c == 0x7f)) {
      return false;
    }
  }
  return true;
}

bool IsIp(const std::string& value, int family) {
  char buffer[sizeof(in6_addr)];
  return inet_pton(family, value.c_str(), buffer) == 1;
}

bool IsHostname(absl::string_view value) {
  value = absl::StripSuffix(value, ".");
  if (value.empty() || value.size() > 253) return false;
  for (absl::string_view label : absl::StrSplit(value, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return false;
    }
    for (const char c : label) {
      if (!absl::ascii_isalnum(c) && c != '-') return false;
    }
  }
  return true;
}

std::string CheckLengths(const std::string& value, const validate::StringRules& rules) {
  const uint64_t characters = Characters(value);
  if (rules.has_len() && characters != rules.len()) {
    return StrCat("value length must be ", rules.len(), " characters");
  }
  if (rules.has_min_len() && characters < rules.min_len()) {
    return StrCat("value length must be at least ", rules.min_len(), " characters");
  }
  if (rules.has_max_len() && characters > rules.max_len()) {
    return StrCat("value length must be at most ", rules.max_len(), " characters");
  }
  if (rules.has_min_bytes() && value.size() < rules.min_bytes()) {
    return StrCat("value length must be at least ", rules.min_bytes(), " bytes");
  }
  if (rules.has_max_bytes() && value.size() > rules.max_bytes()) {
    return StrCat("value length must be at most ", rules.max_bytes(), " bytes");
  }
  return "";
}

std::string CheckWellKnown(const std::string& value, const validate::StringRules& rules) {
  // A name that need not be strict may even be empty.
  if (rules.well_known_regex() == validate::HTTP_HEADER_NAME &&
      !(rules.strict() ? IsHeaderName(value) : IsHeaderValue(value, false))) {
    return "value is not a valid HTTP header name";
  }
  if (rules.well_known_regex() == validate::HTTP_HEADER_VALUE &&
      !IsHeaderValue(value, rules.strict())) {
    return "value is not a valid HTTP header value";
  }
  const bool ip = IsIp(value, AF_INET) || IsIp(value, AF_INET6);
  if (rules.ip() && !ip) return "value must be a valid IP address";
  if (rules.ipv4() && !IsIp(value, AF_INET)) {
    return "value must be a valid IPv4 address";
  }
  if (rules.ipv6() && !IsIp(value, AF_INET6)) {
    return "value must be a valid IPv6 address";
  }
  if (rules.hostname() && !IsHostname(value)) {
    return "value must be a valid hostname";
  }
  if (rules.address() && !ip && !IsHostname(value)) {
    return "value must be a valid hostname, or ip address";
  }
  if (rules.uri() && !MatchesPattern(value, "^[a-zA-Z][a-zA-Z0-9+.-]*:")) {
    return "value must be a valid URI";
  }
  return "";
}

absl::Duration AsDuration(const google::protobuf::Duration& value) {
  return absl::Seconds(value.seconds()) + absl::Nanoseconds(value.nanos());
}

std::string Text(const google::protobuf::Duration& value) {
  return absl::FormatDuration(AsDuration(value));
}

}  // namespace

std::string CheckString(const std::string& value, const validate::StringRules& rules) {
  if (rules.ignore_empty() && value.empty()) return "";
  if (rules.has_const_() && value != rules.const_()) {
    return StrCat("value must equal \"", rules.const_(), "\"");
  }
  std::string wrong = CheckLengths(value, rules);
  if (!wrong.empty()) return wrong;
  if (rules.has_pattern() && !MatchesPattern(value, rules.pattern())) {
    return StrCat("value does not match regex pattern \"", rules.pattern(), "\"");
  }
  if (rules.has_prefix() && !absl::StartsWith(value, rules.prefix())) {
    return StrCat("value does not have prefix \"", rules.prefix(), "\"");
  }
  if (rules.has_suffix() && !absl::EndsWith(value, rules.suffix())) {
    return StrCat("value does not have suffix \"", rules.suffix(), "\"");
  }
  if (rules.has_contains() && !absl::StrContains(value, rules.contains())) {
    return StrCat("value does not contain \"", rules.contains(), "\"");
  }
  if (rules.has_not_contains() && absl::StrContains(value, rules.not_contains())) {
    return StrCat("value contains \"", rules.not_contains(), "\"");
  }
  const auto is_value = [&](const std::string& other) { return other == value; };
  if (rules.in_size() != 0 && std::none_of(rules.in().begin(), rules.in().end(), is_value)) {
    return StrCat("value must be in list [", absl::StrJoin(rules.in(), ", "), "]");
  }
  if (std::any_of(rules.not_in().begin(), rules.not_in().end(), is_value)) {
    return StrCat("value must not be in list [", absl::StrJoin(rules.not_in(), ", "), "]");
  }
  return CheckWellKnown(value, rules);
}

std::string CheckBytes(const std::string& value, const validate::BytesRules& rules) {
  if (rules.ignore_empty() && value.empty()) return "";
  if (rules.has_len() && value.size() != rules.len()) {
    return StrCat("value length must be ", rules.len(), " bytes");
  }
  if (rules.has_min_len() && value.size() < rules.min_len()) {
    return StrCat("value length must be at least ", rules.min_len(), " bytes");
  }
  if (rules.has_max_len() && value.size() > rules.max_len()) {
    return StrCat("value length must be at most ", rules.max_len(), " bytes");
  }
  return "";
}

std::string CheckDuration(int64_t seconds, int32_t nanos, const validate::DurationRules& rules) {
  const absl::Duration value = absl::Seconds(seconds) + absl::Nanoseconds(nanos);
  if (rules.has_const_() && value != AsDuration(rules.const_())) {
    return StrCat("value must equal ", Text(rules.const_()));
  }
  if (rules.has_lt() && value >= AsDuration(rules.lt())) {
    return StrCat("value must be less than ", Text(rules.lt()));
  }
  if (rules.has_lte() && value > AsDuration(rules.lte())) {
    return StrCat("value must be less than or equal to ", Text(rules.lte()));
  }
  if (rules.has_gt() && value <= AsDuration(rules.gt())) {
    return StrCat("value must be greater than ", Text(rules.gt()));
  }
  if (rules.has_gte() && value < AsDuration(rules.gte())) {
    return StrCat("value must be greater than or equal to ", Text(rules.gte()));
  }
  return "";
}

}  // namespace remora::xds
