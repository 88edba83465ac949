// envoy.filters.http.stateful_session: a client comes back to the host that it got, by a cookie or
// a header that tells which.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "envoy/extensions/http/stateful_session/cookie/v3/cookie.pb.h"
#include "envoy/extensions/http/stateful_session/header/v3/header.pb.h"
#include "filters/makers.h"
#include "filters/request_parts.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::stateful_session::v3;
using Cookie = envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
using Header = envoy::extensions::http::stateful_session::header::v3::HeaderBasedSessionState;

enum Stat : uint32_t { kRouted, kFailedOpen, kFailedClosed, kNoSession };
constexpr FilterStat kStats[] = {{"routed"}, {"failed_open"}, {"failed_closed"}, {"no_session"}};

// The message inside the cookie: the address (field 1) and when it ends (field 2, seconds of the
// monotonic clock). Two fields are not worth a generated class.
struct CookieText {
  std::string address;
  uint64_t expires = 0;

  std::string Encode() const;
  static std::optional<CookieText> Decode(absl::string_view bytes);
};

std::string CookieText::Encode() const {
  const auto number = [](uint64_t value, std::string* out) {
    for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
    out->push_back(static_cast<char>(value));
  };
  std::string out = "\x0a";
  number(address.size(), &out);
  out += address;
  if (expires != 0) {
    out.push_back('\x10');
    number(expires, &out);
  }
  return out;
}

std::optional<uint64_t> TakeNumber(absl::string_view* bytes) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes->front());
    bytes->remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<CookieText> CookieText::Decode(absl::string_view bytes) {
  CookieText out;
  while (!bytes.empty()) {
    const std::optional<uint64_t> tag = TakeNumber(&bytes);
    const std::optional<uint64_t> value = tag ? TakeNumber(&bytes) : std::nullopt;
    if (!value) return std::nullopt;
    if (*tag == 0x10) {
      out.expires = *value;
    } else if (*tag == 0x0a && *value <= bytes.size()) {
      out.address = std::string(bytes.substr(0, *value));
      bytes.remove_prefix(*value);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

// Where a session is told.
struct Place {
  bool by_cookie = false;
  std::string name;  // of the cookie, or of the header in lower-case
  std::string path;
  int64_t ttl_seconds = 0;
  std::string attributes;  // of the cookie, as they are written

  bool Covers(absl::string_view request_path) const {
    if (!by_cookie || path.empty() || path == "/") return true;
    if (!absl::StartsWith(request_path, path)) return false;
    if (path.back() == '/' || request_path.size() == path.size()) return true;
    return absl::string_view("/?#").find(request_path[path.size()]) != absl::string_view::npos;
  }
  std::string AddressIn(const Headers& request, int64_t now_seconds) const;
  void Tell(Headers& response, absl::string_view address, int64_t now_seconds) const;
};

std::string Place::AddressIn(const Headers& request, int64_t now_seconds) const {
  std::string decoded;
  if (!by_cookie) {
    const std::optional<absl::string_view> value = request.Get(name);
    return value && absl::Base64Unescape(*value, &decoded) ? decoded : "";
  }
  const std::optional<absl::string_view> value = CookieValue(request, name);
  if (!value || !absl::Base64Unescape(*value, &decoded)) return {};
  const std::optional<CookieText> text = CookieText::Decode(decoded);
  if (!text) return {};
  const bool over = text->expires != 0 && now_seconds > static_cast<int64_t>(text->expires);
  return over ? "" : text->address;
}

void Place::Tell(Headers& response, absl::string_view address, int64_t now_seconds) const {
  if (!by_cookie) {
    response.Set(name, absl::Base64Escape(address));
    return;
  }
  CookieText text;
  text.address = std::string(address);
  if (ttl_seconds != 0) text.expires = static_cast<uint64_t>(now_seconds + ttl_seconds);
  std::string value = absl::StrCat(name, "=\"", absl::Base64Escape(text.Encode()), "\"");
  if (ttl_seconds != 0) absl::StrAppend(&value, "; Max-Age=", ttl_seconds);
  if (!path.empty()) absl::StrAppend(&value, "; Path=", path);
  absl::StrAppend(&value, attributes, "; HttpOnly");
  response.Add(HeaderId::kSetCookie, value);
}

struct Settings {
  std::optional<Place> place;  // absent: off
  bool strict = false;
  int strict_status = 0;    // 0: the router's own
  std::string stat_prefix;  // empty: nothing is counted
};

class StatefulSessionFilter final : public HttpFilter {
 public:
  explicit StatefulSessionFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    if (const void* route = context_->route_config()) {
      settings_ = static_cast<const Settings*>(route);
      of_route_ = true;
    }
    if (!settings_->place || !settings_->place->Covers(headers.path())) {
      if (settings_->place) Count(kNoSession);
      return Verdict::kContinue;
    }
    active_ = true;
    asked_ = settings_->place->AddressIn(headers, NowSeconds());
    if (!asked_.empty()) {
      context_->OverrideHost(context_->arena().Copy(asked_), settings_->strict);
    }
    return Verdict::kContinue;
  }

  Verdict OnResponseHeaders(Headers& headers, bool) override {
    if (!active_) return Verdict::kContinue;
    const absl::string_view host = context_->info().upstream_host;
    if (host.empty()) {
      if (settings_->strict && !asked_.empty() && headers.status() == 503) {
        Count(kFailedClosed);
        if (settings_->strict_status != 0) headers.set_status(settings_->strict_status);
      }
      return Verdict::kContinue;
    }
    if (host == asked_) {
      Count(kRouted);
      return Verdict::kContinue;
    }
    Count(kFailedOpen);
    settings_->place->Tell(headers, host, NowSeconds());
    return Verdict::kContinue;
  }

 private:
  int64_t NowSeconds() const { return context_->now_ns() / 1000000000; }
  void Count(Stat stat) {
    if (settings_->stat_prefix.empty()) return;
    if (!of_route_) return context_->Count(stat);
    for (uint32_t i = 0; i < std::size(kStats); ++i) {
      context_->CountNamed(
          absl::StrCat("stateful_session.", settings_->stat_prefix, ".", kStats[i].name),
          i == stat ? 1 : 0);
    }
  }

  const Settings* settings_;
  std::string asked_;
  bool active_ = false;
  bool of_route_ = false;
};

class StatefulSessionFactory final : public FilterFactory {
 public:
  explicit StatefulSessionFactory(Settings settings)
      : settings_(std::move(settings)),
        prefix_(absl::StrCat("stateful_session.", settings_.stat_prefix, ".")) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(StatefulSessionFilter))) StatefulSessionFilter(&settings_);
  }
  absl::Span<const FilterStat> stats() const override {
    if (settings_.stat_prefix.empty()) return {};
    return kStats;
  }
  absl::string_view stat_prefix() const override { return prefix_; }

 private:
  Settings settings_;
  std::string prefix_;
};

absl::StatusOr<Place> ReadPlace(const envoy::config::core::v3::TypedExtensionConfig& proto) {
  Place out;
  const std::string& url = proto.typed_config().type_url();
  const absl::string_view type = absl::string_view(url).substr(url.rfind('/') + 1);
  if (type == Cookie::descriptor()->full_name()) {
    absl::StatusOr<Cookie> config = DecodeConfig<Cookie>(proto.typed_config().value());
    if (!config.ok()) return config.status();
    out.by_cookie = true;
    out.name = config->cookie().name();
    out.path = config->cookie().path();
    out.ttl_seconds = config->cookie().ttl().seconds();
    for (const auto& attribute : config->cookie().attributes()) {
      absl::StrAppend(&out.attributes, "; ", attribute.name(), attribute.value().empty() ? "" : "=",
                      attribute.value());
    }
    return out;
  }
  if (type == Header::descriptor()->full_name()) {
    absl::StatusOr<Header> config = DecodeConfig<Header>(proto.typed_config().value());
    if (!config.ok()) return config.status();
    out.name = absl::AsciiStrToLower(config->name());
    return out;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("Didn't find a registered implementation for name: '", proto.name(), "'"));
}

absl::StatusOr<Settings> ReadSettings(const pb::StatefulSession& proto) {
  Settings out;
  if (proto.has_session_state()) {
    absl::StatusOr<Place> place = ReadPlace(proto.session_state());
    if (!place.ok()) return place.status();
    out.place = *std::move(place);
  }
  out.strict = proto.strict();
  out.strict_status = static_cast<int>(proto.status_on_strict_destination_not_found());
  out.stat_prefix = proto.stat_prefix();
  return out;
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::StatefulSession> proto = DecodeConfig<pb::StatefulSession>(config);
  if (!proto.ok()) return proto.status();
  absl::StatusOr<Settings> settings = ReadSettings(*proto);
  if (!settings.ok()) return settings.status();
  return std::make_shared<StatefulSessionFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::StatefulSessionPerRoute> proto =
      DecodeConfig<pb::StatefulSessionPerRoute>(config);
  if (!proto.ok()) return proto.status();
  if (proto->disabled()) return std::shared_ptr<const void>(std::make_shared<Settings>());
  absl::StatusOr<Settings> settings = ReadSettings(proto->stateful_session());
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(std::make_shared<Settings>(*std::move(settings)));
}

}  // namespace

HttpFilterType StatefulSessionFilterType() {
  return {"envoy.extensions.filters.http.stateful_session.v3.StatefulSession", &Make,
          "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute", &ParseRoute};
}

}  // namespace remora
