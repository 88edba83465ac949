// envoy.filters.http.basic_auth: a name and a password, checked against a list of SHA-1 hashes.
#include <openssl/mem.h>
#include <openssl/sha.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/filters/http/basic_auth/v3/basic_auth.pb.h"
#include "filters/data_source.h"
#include "filters/makers.h"
#include "filters/metadata.h"
#include "filters/request_parts.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::basic_auth::v3;

enum Stat : uint32_t { kAllowed, kDenied };
constexpr FilterStat kStats[] = {{"allowed"}, {"denied"}};
constexpr absl::string_view kScheme = "Basic ";
constexpr size_t kHashSize = 28;  // of SHA-1 in base64

using Users = absl::flat_hash_map<std::string, std::string>;  // name to hash

struct Settings {
  Users users;
  std::string realm;
  std::string forward_header;
  std::string auth_header = "authorization";
  bool allow_missing = false;
  bool emit_metadata = false;
};

// Of a route; what is not here is the filter's.
struct RouteSettings {
  Users users;
  std::string realm;
};

bool IsPassword(absl::string_view password, const std::string& hash) {
  uint8_t digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const uint8_t*>(password.data()), password.size(), digest);
  const std::string text =
      absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
  return text.size() == hash.size() && CRYPTO_memcmp(text.data(), hash.data(), hash.size()) == 0;
}

class BasicAuthFilter final : public HttpFilter {
 public:
  explicit BasicAuthFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    const auto* route = static_cast<const RouteSettings*>(context_->route_config());
    const Users& users = route == nullptr ? settings_->users : route->users;
    realm_ = route == nullptr || route->realm.empty() ? settings_->realm : route->realm;
    const std::optional<absl::string_view> header = headers.Get(settings_->auth_header);
    if (!header) {
      if (settings_->allow_missing) return Verdict::kContinue;
      return Deny(headers, "User authentication failed. Missing username and password.",
                  "no_credential_for_basic_auth");
    }
    if (!absl::StartsWith(*header, kScheme)) {
      return Deny(headers, "User authentication failed. Expected 'Basic' authentication scheme.",
                  "invalid_scheme_for_basic_auth");
    }
    const absl::string_view encoded = header->substr(kScheme.size());
    std::string decoded;
    if (absl::StrContains(encoded, ' ') || !absl::Base64Unescape(encoded, &decoded)) {
      decoded.clear();
    }
    const size_t colon = decoded.find(':');
    if (colon == std::string::npos) {
      return Deny(headers, "User authentication failed. Invalid basic credential format.",
                  "invalid_format_for_basic_auth");
    }
    const std::string name = decoded.substr(0, colon);
    const auto user = users.find(name);
    if (user == users.end() || !IsPassword(decoded.substr(colon + 1), user->second)) {
      return Deny(headers, "User authentication failed. Invalid username/password combination.",
                  "invalid_credential_for_basic_auth");
    }
    Admit(headers, name);
    return Verdict::kContinue;
  }

 private:
  void Admit(Headers& headers, const std::string& name) {
    if (!settings_->forward_header.empty()) headers.Set(settings_->forward_header, name);
    if (settings_->emit_metadata) {
      context_->dynamic_metadata().namespaces["envoy.filters.http.basic_auth"] =
          MetadataValue(MetadataValue::Fields{{"username", MetadataValue(name)}});
    }
    context_->Count(kAllowed);
  }

  Verdict Deny(const Headers& headers, absl::string_view body, absl::string_view details) {
    context_->Count(kDenied);
    const std::string realm = realm_.empty() ? OriginalUrl(headers) : std::string(realm_);
    LocalReply reply;
    reply.status = 401;
    reply.body = body;
    reply.details = details;
    reply.edit = [&realm](Headers& response) {
      response.Set(HeaderId::kWwwAuthenticate, absl::StrCat("Basic realm=\"", realm, "\""));
    };
    context_->Reply(reply);
    return Verdict::kReplied;
  }

  const Settings* settings_;
  absl::string_view realm_;
};

class BasicAuthFactory final : public FilterFactory {
 public:
  explicit BasicAuthFactory(Settings settings) : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(BasicAuthFilter))) BasicAuthFilter(&settings_);
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return "basic_auth."; }

 private:
  Settings settings_;
};

absl::Status AddUser(absl::string_view line, Users* out) {
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        "basic auth: invalid htpasswd format, username:password is expected");
  }
  const absl::string_view name = line.substr(0, colon);
  absl::string_view hash = line.substr(colon + 1);
  if (name.empty() || hash.empty()) {
    return absl::InvalidArgumentError("basic auth: empty user name or password");
  }
  if (out->contains(name)) return absl::InvalidArgumentError("basic auth: duplicate users");
  if (!absl::ConsumePrefix(&hash, "{SHA}")) {
    return absl::InvalidArgumentError("basic auth: unsupported htpasswd format: please use {SHA}");
  }
  if (hash.size() != kHashSize) {
    return absl::InvalidArgumentError(
        "basic auth: invalid htpasswd format, invalid SHA hash length");
  }
  out->emplace(name, hash);
  return absl::OkStatus();
}

template <typename Proto>
absl::StatusOr<Users> ReadUsers(const Proto& proto) {
  absl::StatusOr<std::string> text = ReadDataSource(proto.users());
  if (!text.ok()) return text.status();
  if (text->empty()) return absl::InvalidArgumentError("DataSource cannot be empty");
  Users users;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    line = absl::StripTrailingAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (absl::Status added = AddUser(line, &users); !added.ok()) return added;
  }
  return users;
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::BasicAuth> proto = DecodeConfig<pb::BasicAuth>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<Users> users = ReadUsers(*proto);
  if (!users.ok()) return users.status();
  Settings settings;
  settings.users = *std::move(users);
  settings.realm = proto->realm();
  settings.forward_header = absl::AsciiStrToLower(proto->forward_username_header());
  if (!proto->authentication_header().empty()) {
    settings.auth_header = absl::AsciiStrToLower(proto->authentication_header());
  }
  settings.allow_missing = proto->allow_missing();
  settings.emit_metadata = proto->emit_dynamic_metadata();
  return std::make_shared<BasicAuthFactory>(std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::BasicAuthPerRoute> proto = DecodeConfig<pb::BasicAuthPerRoute>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<Users> users = ReadUsers(*proto);
  if (!users.ok()) return users.status();
  auto out = std::make_shared<RouteSettings>();
  out->users = *std::move(users);
  out->realm = proto->realm();
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType BasicAuthFilterType() {
  return {"envoy.extensions.filters.http.basic_auth.v3.BasicAuth", &Make,
          "envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute", &ParseRoute};
}

}  // namespace remora
