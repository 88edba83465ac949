#include "filters/request_parts.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace remora {

std::string OriginalUrl(const Headers& request, size_t most_path) {
  const absl::string_view original = request.Value(HeaderId::kXEnvoyOriginalPath);
  const absl::string_view path = original.empty() ? request.path() : original;
  const absl::string_view forwarded = request.Value(HeaderId::kXForwardedProto);
  return absl::StrCat(forwarded.empty() ? request.scheme() : forwarded, "://", request.authority(),
                      path.substr(0, most_path));
}

absl::string_view PathOnly(absl::string_view path) {
  return path.substr(0, path.find_first_of("?#"));
}

absl::string_view QueryOnly(absl::string_view path) {
  path = path.substr(0, path.find('#'));
  const size_t mark = path.find('?');
  return mark == absl::string_view::npos ? absl::string_view() : path.substr(mark + 1);
}

std::string PercentDecode(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && absl::ascii_isxdigit(text[i + 1]) &&
        absl::ascii_isxdigit(text[i + 2])) {
      const auto digit = [](char c) {
        return absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
      };
      out.push_back(static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::optional<std::string> QueryValue(absl::string_view path, absl::string_view name) {
  for (const absl::string_view pair : absl::StrSplit(QueryOnly(path), '&')) {
    const size_t equals = pair.find('=');
    if (PercentDecode(pair.substr(0, equals)) != name) continue;
    if (equals == absl::string_view::npos) return std::string();
    return PercentDecode(pair.substr(equals + 1));
  }
  return std::nullopt;
}

void RemoveQueryParameter(Headers& request, absl::string_view name) {
  const absl::string_view path = request.path();
  std::vector<absl::string_view> kept;
  for (const absl::string_view pair : absl::StrSplit(QueryOnly(path), '&', absl::SkipEmpty())) {
    if (PercentDecode(pair.substr(0, pair.find('='))) != name) kept.push_back(pair);
  }
  const std::string left =
      absl::StrCat(PathOnly(path), kept.empty() ? "" : "?", absl::StrJoin(kept, "&"));
  request.set_pseudo(HeaderId::kPath, left);
}

void ForEachCookie(const Headers& request,
                   const std::function<void(absl::string_view, absl::string_view)>& fn) {
  request.ForEachValue(HeaderId::kCookie, [&](absl::string_view header) {
    for (absl::string_view pair : absl::StrSplit(header, ';')) {
      pair = absl::StripAsciiWhitespace(pair);
      const size_t equals = pair.find('=');
      if (equals == absl::string_view::npos) continue;
      absl::string_view value = pair.substr(equals + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      fn(pair.substr(0, equals), value);
    }
  });
}

std::optional<absl::string_view> CookieValue(const Headers& request, absl::string_view name) {
  std::optional<absl::string_view> found;
  ForEachCookie(request, [&](absl::string_view key, absl::string_view value) {
    if (!found && key == name) found = value;
  });
  return found;
}

void RemoveCookie(Headers& request, absl::string_view name) {
  std::vector<std::string> headers;
  bool changed = false;
  request.ForEachValue(HeaderId::kCookie, [&](absl::string_view header) {
    std::vector<absl::string_view> kept;
    for (const absl::string_view pair : absl::StrSplit(header, ';')) {
      const absl::string_view text = absl::StripAsciiWhitespace(pair);
      if (text.substr(0, text.find('=')) == name) {
        changed = true;
      } else {
        kept.push_back(text);
      }
    }
    if (!kept.empty()) headers.push_back(absl::StrJoin(kept, "; "));
  });
  if (!changed) return;
  request.Remove(HeaderId::kCookie);
  for (const std::string& header : headers) request.Add(HeaderId::kCookie, header);
}

}  // namespace remora
