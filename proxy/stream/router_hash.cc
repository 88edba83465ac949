#include "proxy/stream/router_hash.h"

#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "filters/api/filter_state.h"
#include "lb/hash_key.h"

namespace remora::proxy {
namespace {

void AddHeader(const xds::HashPolicy& policy, const Headers& request, lb::HashKey* key) {
  absl::InlinedVector<absl::string_view, 4> values;
  const HeaderId id = LookUpHeader(policy.name);
  if (id != HeaderId::kOther && IsPseudo(id)) {
    if (const auto value = request.Get(id)) values.push_back(*value);
  } else {
    request.ForEach([&](const Header& header) {
      if (header.name == policy.name) values.push_back(header.value);
    });
  }
  if (values.empty()) return;
  absl::InlinedVector<std::string, 2> rewritten;
  if (policy.rewrite.has_value()) {
    for (const absl::string_view value : values) rewritten.push_back(policy.rewrite->Apply(value));
    for (size_t i = 0; i < values.size(); ++i) values[i] = rewritten[i];
  }
  if (values.size() == 1) {
    key->Add(values[0]);
  } else {
    key->AddAll(absl::MakeSpan(values));
  }
}

// A cookie of our own: the same client gets the same one.
absl::string_view MakeCookie(const xds::HashPolicy& policy, const StreamInfo& info, Arena& arena,
                             CookiesToSet* cookies) {
  std::string parties = info.remote.ToString();
  if (info.downstream != nullptr) absl::StrAppend(&parties, info.downstream->local.ToString());
  const absl::string_view value =
      arena.Copy(absl::StrCat(absl::Hex(lb::XxHash64(parties), absl::kZeroPad16)));
  std::string text = absl::StrCat(policy.name, "=\"", value, "\"");
  const int64_t age = absl::ToInt64Seconds(*policy.ttl);
  if (age != 0) absl::StrAppend(&text, "; Max-Age=", age);
  if (!policy.path.empty()) absl::StrAppend(&text, "; Path=", policy.path);
  for (const auto& [name, attribute] : policy.attributes) {
    absl::StrAppend(&text, "; ", name);
    if (!attribute.empty()) absl::StrAppend(&text, "=", attribute);
  }
  absl::StrAppend(&text, "; HttpOnly");
  if (cookies->count < CookiesToSet::kMost) cookies->values[cookies->count++] = arena.Copy(text);
  return value;
}

void AddCookie(const xds::HashPolicy& policy, const Headers& request, const StreamInfo& info,
               CookiesToSet* cookies, lb::HashKey* key) {
  const auto value = CookieValue(request, policy.name);
  if (value.has_value() && !value->empty()) {
    key->Add(*value);
  } else if (policy.ttl.has_value()) {
    key->Add(MakeCookie(policy, info, request.arena(), cookies));
  }
}

void AddQueryParameter(const xds::HashPolicy& policy, const Headers& request, lb::HashKey* key) {
  absl::string_view path = request.path();
  path = path.substr(0, path.find('#'));
  const size_t question = path.find('?');
  if (question == absl::string_view::npos) return;
  for (const absl::string_view pair : absl::StrSplit(path.substr(question + 1), '&')) {
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) != policy.name) continue;
    key->Add(equals == absl::string_view::npos ? absl::string_view() : pair.substr(equals + 1));
    return;
  }
}

}  // namespace

std::optional<absl::string_view> CookieValue(const Headers& request, absl::string_view name) {
  std::optional<absl::string_view> found;
  request.ForEachValue(HeaderId::kCookie, [&](absl::string_view line) {
    for (absl::string_view pair : absl::StrSplit(line, ';')) {
      if (found.has_value()) return;
      pair = absl::StripAsciiWhitespace(pair);
      const size_t equals = pair.find('=');
      if (equals == absl::string_view::npos || pair.substr(0, equals) != name) continue;
      absl::string_view value = pair.substr(equals + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      found = value;
    }
  });
  return found;
}

std::optional<uint64_t> HashOfRequest(absl::Span<const xds::HashPolicy> policies,
                                      const Headers& request, const StreamInfo& info,
                                      CookiesToSet* cookies) {
  using Kind = xds::HashPolicy::Kind;
  lb::HashKey key;
  for (const xds::HashPolicy& policy : policies) {
    switch (policy.kind) {
      case Kind::kHeader:
        AddHeader(policy, request, &key);
        break;
      case Kind::kCookie:
        AddCookie(policy, request, info, cookies, &key);
        break;
      case Kind::kSourceIp:
        if (info.remote.is_ip()) key.Add(info.remote.IpString(request.arena()));
        break;
      case Kind::kQueryParameter:
        AddQueryParameter(policy, request, &key);
        break;
      case Kind::kFilterState:
        if (info.filter_state == nullptr) break;
        if (const std::string* text = info.filter_state->Find(policy.name)) key.Add(*text);
        break;
    }
    if (policy.terminal && key.has_value()) break;
  }
  return key.has_value() ? std::optional<uint64_t>(key.value()) : std::nullopt;
}

}  // namespace remora::proxy
