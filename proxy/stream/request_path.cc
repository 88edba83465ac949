#include "proxy/stream/request_path.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace remora::proxy {
namespace {

using Config = xds::HttpConnectionManager;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The octet that "%XX" at the front of `text` stands for.
std::optional<char> Escaped(absl::string_view text) {
  if (text.size() < 3 || text[0] != '%') return std::nullopt;
  const int high = HexValue(text[1]);
  const int low = HexValue(text[2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

bool IsUnreserved(char c) {
  return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// Splits off what stands behind the path.
absl::string_view SplitPath(absl::string_view* path) {
  const size_t end = std::min(path->find_first_of("?#"), path->size());
  const absl::string_view rest = path->substr(end);
  *path = path->substr(0, end);
  return rest;
}

// "%2F", "%2f", "%5C" and "%5c" become the slashes they stand for. Null when there is none.
absl::string_view UnescapeSlashes(absl::string_view path, Arena& arena, bool* changed) {
  *changed = false;
  if (path.find('%') == absl::string_view::npos) return path;
  char* const text = arena.AllocateChars(path.size());
  size_t size = 0;
  for (size_t i = 0; i < path.size(); ++i) {
    const std::optional<char> octet = Escaped(path.substr(i));
    if (octet == '/' || octet == '\\') {
      text[size++] = *octet;
      i += 2;
      *changed = true;
    } else {
      text[size++] = path[i];
    }
  }
  return {text, size};
}

// One pass: unreserved octets are unescaped, backslashes turned, the case of escapes kept and what
// only looks like an escape left. Nothing when an escape stands for NUL.
std::optional<absl::string_view> CanonicalOctets(absl::string_view path, Arena& arena) {
  char* const text = arena.AllocateChars(path.size() + 1);
  size_t size = 0;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') {
      text[size++] = '/';
      continue;
    }
    if (path[i] != '%') {
      text[size++] = path[i];
      continue;
    }
    const std::optional<char> octet = Escaped(path.substr(i));
    if (!octet) {
      text[size++] = '%';
      continue;
    }
    if (*octet == '\0') return std::nullopt;
    if (IsUnreserved(*octet)) {
      text[size++] = *octet;
    } else {
      path.substr(i, 3).copy(text + size, 3);
      size += 3;
    }
    i += 2;
  }
  return absl::string_view(text, size);
}

// RFC 3986 section 5.2.4, in place. `text` begins with a slash.
size_t RemoveDotSegments(char* text, size_t size) {
  size_t out = 0;
  size_t in = 0;
  while (in < size) {
    // One segment with the slash before it.
    size_t end = in + 1;
    while (end < size && text[end] != '/') ++end;
    const absl::string_view segment(text + in + 1, end - in - 1);
    const bool last = end == size;
    if (segment == ".") {
      if (last) text[out++] = '/';
    } else if (segment == "..") {
      while (out > 0 && text[--out] != '/') {
      }
      if (last) text[out++] = '/';
    } else {
      std::copy(text + in, text + end, text + out);
      out += end - in;
    }
    in = end;
  }
  if (out == 0) text[out++] = '/';
  return out;
}

std::optional<absl::string_view> Canonical(absl::string_view path, Arena& arena) {
  const std::optional<absl::string_view> octets = CanonicalOctets(path, arena);
  if (!octets || octets->empty() || octets->front() != '/') return std::nullopt;
  char* const text = const_cast<char*>(octets->data());
  return absl::string_view(text, RemoveDotSegments(text, octets->size()));
}

absl::string_view MergeSlashes(absl::string_view path, Arena& arena) {
  if (!absl::StrContains(path, "//")) return path;
  char* const text = arena.AllocateChars(path.size());
  size_t size = 0;
  for (const char c : path) {
    if (c == '/' && size > 0 && text[size - 1] == '/') continue;
    text[size++] = c;
  }
  return {text, size};
}

bool NeedsWork(const Config& config) {
  return config.normalize_path || config.merge_slashes ||
         config.escaped_slashes != Config::EscapedSlashes::kKeep;
}

// Where the port begins (at its colon), npos when there is none.
size_t PortStart(absl::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == absl::string_view::npos) return colon;
  const size_t bracket = host.rfind(']');
  if (bracket != absl::string_view::npos)
    return colon == bracket + 1 ? colon : absl::string_view::npos;
  // More than one colon and no brackets: an IPv6 address without a port.
  return host.find(':') == colon ? colon : absl::string_view::npos;
}

absl::string_view WithoutTrailingDot(absl::string_view host, Arena& arena) {
  const size_t colon = PortStart(host);
  const absl::string_view name = host.substr(0, colon);
  if (!absl::EndsWith(name, ".")) return host;
  const absl::string_view bare = name.substr(0, name.size() - 1);
  return colon == absl::string_view::npos ? bare : arena.Concat(bare, host.substr(colon));
}

absl::string_view WithoutPort(const Config& config, absl::string_view host, uint16_t local_port) {
  const size_t colon = PortStart(host);
  if (colon == absl::string_view::npos) return host;
  uint32_t port = 0;
  if (!absl::SimpleAtoi(host.substr(colon + 1), &port) || port > 65535) return host;
  if (config.strip_port == Config::StripPort::kMatching && port != local_port) return host;
  return host.substr(0, colon);
}

}  // namespace

PathVerdict NormalizePath(const Config& config, Headers& request) {
  // A fragment has no business in a request; whoever sends one means to be misread.
  if (absl::StrContains(request.path(), "#")) return PathVerdict::kReject;
  if (!NeedsWork(config) || request.path().empty()) return PathVerdict::kContinue;
  Arena& arena = request.arena();
  absl::string_view path = request.path();
  const absl::string_view rest = SplitPath(&path);
  const absl::string_view original = path;
  bool unescaped = false;
  if (config.escaped_slashes != Config::EscapedSlashes::kKeep) {
    path = UnescapeSlashes(path, arena, &unescaped);
    if (unescaped && config.escaped_slashes == Config::EscapedSlashes::kReject) {
      return PathVerdict::kReject;
    }
  }
  if (config.normalize_path) {
    const std::optional<absl::string_view> canonical = Canonical(path, arena);
    if (!canonical) return PathVerdict::kReject;
    path = *canonical;
  }
  if (config.merge_slashes) path = MergeSlashes(path, arena);
  if (path != original) request.set_pseudo(HeaderId::kPath, arena.Concat(path, rest));
  return unescaped && config.escaped_slashes == Config::EscapedSlashes::kUnescapeAndRedirect
             ? PathVerdict::kRedirect
             : PathVerdict::kContinue;
}

void NormalizeHost(const Config& config, uint16_t local_port, bool connect, Headers& request) {
  const absl::string_view original = request.authority();
  absl::string_view host = original;
  if (config.strip_trailing_host_dot) host = WithoutTrailingDot(host, request.arena());
  if (config.strip_port == Config::StripPort::kAny ||
      (config.strip_port == Config::StripPort::kMatching && !connect)) {
    host = WithoutPort(config, host, local_port);
  }
  if (host.data() != original.data() || host.size() != original.size()) {
    request.set_pseudo_static(HeaderId::kAuthority, host);
  }
}

bool IsValidAuthority(absl::string_view authority) {
  for (const char c : authority) {
    if (absl::ascii_isalnum(c) || absl::StrContains("-._~!$&'()*+,;=:[]%", c)) continue;
    return false;
  }
  return true;
}

}  // namespace remora::proxy
