// envoy.filters.http.api_key_auth: a key from a header, the query or a cookie stands for a client.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb.h"
#include "filters/makers.h"
#include "filters/request_parts.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::api_key_auth::v3;

enum Stat : uint32_t { kAllowed, kUnauthorized, kForbidden };
constexpr FilterStat kStats[] = {{"allowed"}, {"unauthorized"}, {"forbidden"}};

struct KeySource {
  std::string header;
  std::string query;
  std::string cookie;

  std::string Get(const Headers& request) const {
    if (!header.empty()) {
      absl::string_view value = request.Get(header).value_or("");
      absl::ConsumePrefix(&value, "Bearer ");
      return std::string(value);
    }
    if (!query.empty()) return QueryValue(request.path(), query).value_or("");
    return std::string(CookieValue(request, cookie).value_or(""));
  }

  void Remove(Headers& request) const {
    if (!header.empty()) {
      request.Remove(header);
    } else if (!query.empty()) {
      RemoveQueryParameter(request, query);
    } else {
      RemoveCookie(request, cookie);
    }
  }
};

struct Settings {
  absl::flat_hash_map<std::string, std::string> clients;  // by key
  std::vector<KeySource> sources;
  absl::flat_hash_set<std::string> allowed;  // of a route; empty: all
  std::string forward_header;
  bool hide = false;
};

class ApiKeyAuthFilter final : public HttpFilter {
 public:
  explicit ApiKeyAuthFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    const auto* route = static_cast<const Settings*>(context_->route_config());
    const auto& clients =
        route == nullptr || route->clients.empty() ? settings_->clients : route->clients;
    const auto& sources =
        route == nullptr || route->sources.empty() ? settings_->sources : route->sources;
    const Settings& forwarding = route == nullptr ? *settings_ : *route;
    if (clients.empty() || sources.empty()) {
      return Refuse(401, "missing_api_key");
    }
    std::string key;
    for (const KeySource& source : sources) {
      key = source.Get(headers);
      if (!key.empty()) break;
    }
    if (key.empty()) return Refuse(401, "missing_api_key");
    const auto client = clients.find(key);
    if (client == clients.end()) return Refuse(401, "unknown_api_key");
    if (route != nullptr && !route->allowed.empty() && !route->allowed.contains(client->second)) {
      return Refuse(403, "client_not_allowed");
    }
    if (!forwarding.forward_header.empty()) {
      headers.Set(forwarding.forward_header, client->second);
    }
    if (forwarding.hide) {
      for (const KeySource& source : sources) source.Remove(headers);
    }
    context_->Count(kAllowed);
    return Verdict::kContinue;
  }

 private:
  Verdict Refuse(int status, absl::string_view details) {
    context_->Count(status == 403 ? kForbidden : kUnauthorized);
    LocalReply reply;
    reply.status = status;
    reply.body = status == 403 ? "Client is forbidden." : "Client authentication failed.";
    reply.details = details;
    context_->Reply(reply);
    return Verdict::kReplied;
  }

  const Settings* settings_;
};

class ApiKeyAuthFactory final : public FilterFactory {
 public:
  explicit ApiKeyAuthFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(ApiKeyAuthFilter))) ApiKeyAuthFilter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return "api_key_auth."; }

 private:
  std::shared_ptr<const Settings> settings_;
};

template <typename Proto>
absl::StatusOr<std::shared_ptr<Settings>> ParseSettings(absl::string_view config, Proto* out) {
  absl::StatusOr<Proto> proto = DecodeConfig<Proto>(config);
  if (!proto.ok()) return proto.status();
  auto settings = std::make_shared<Settings>();
  for (const pb::Credential& credential : proto->credentials()) {
    if (!settings->clients.emplace(credential.key(), credential.client()).second) {
      return absl::InvalidArgumentError("Duplicated credential key: '" + credential.key() + "'");
    }
  }
  for (const pb::KeySource& source : proto->key_sources()) {
    if (source.header().empty() && source.query().empty() && source.cookie().empty()) {
      return absl::InvalidArgumentError("One of 'header'/'query'/'cookie' must be set.");
    }
    settings->sources.push_back(
        {absl::AsciiStrToLower(source.header()), source.query(), source.cookie()});
  }
  settings->forward_header = absl::AsciiStrToLower(proto->forwarding().header());
  settings->hide = proto->forwarding().hide_credentials();
  *out = *std::move(proto);
  return settings;
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  pb::ApiKeyAuth proto;
  absl::StatusOr<std::shared_ptr<Settings>> settings = ParseSettings(config, &proto);
  if (!settings.ok()) return settings.status();
  return std::make_shared<ApiKeyAuthFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  pb::ApiKeyAuthPerRoute proto;
  absl::StatusOr<std::shared_ptr<Settings>> settings = ParseSettings(config, &proto);
  if (!settings.ok()) return settings.status();
  (*settings)->allowed.insert(proto.allowed_clients().begin(), proto.allowed_clients().end());
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType ApiKeyAuthFilterType() {
  return {"envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth", &Make,
          "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute", &ParseRoute};
}

}  // namespace remora
