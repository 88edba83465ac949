#include "proxy/stream/http_service.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "filters/api/filter.h"
#include "proxy/stream/route_stats.h"
#include "proxy/upstream/codec_options.h"
#include "proxy/upstream/codec_stats.h"
#include "xds/extension_config.h"
#include "xds/scoped_route.h"

namespace remora::proxy {
namespace {

using Router = envoy::extensions::filters::http::router::v3::Router;

bool IgnoresUpgrade(const void* matchers, absl::string_view value) {
  for (const StringMatcher& matcher : *static_cast<const std::vector<StringMatcher>*>(matchers)) {
    if (matcher.Match(value)) return true;
  }
  return false;
}

// A schema must live as long as the process: one for each list of names that ever occurs.
StatSchema SchemaOf(absl::Span<const FilterStat> stats) {
  struct Kept {
    std::vector<std::string> names;
    std::vector<StatDef> defs;
  };
  static auto* const schemas = new std::map<std::string, std::unique_ptr<Kept>>();
  std::string key;
  const auto kind_of = [](const FilterStat& stat) {
    if (stat.histogram) return StatKind::kHistogram;
    if (stat.rare) return StatKind::kRareCounter;
    return stat.gauge ? StatKind::kGauge : StatKind::kCounter;
  };
  for (const FilterStat& stat : stats) {
    absl::StrAppend(&key, stat.name, "|", static_cast<int>(kind_of(stat)), ",");
  }
  std::unique_ptr<Kept>& kept = (*schemas)[key];
  if (kept == nullptr) {
    kept = std::make_unique<Kept>();
    for (const FilterStat& stat : stats) kept->names.emplace_back(stat.name);
    for (size_t i = 0; i < stats.size(); ++i) {
      kept->defs.push_back({kept->names[i], kind_of(stats[i])});
    }
  }
  return kept->defs;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const HttpService>> HttpService::Make(
    const HttpServiceInput& input) {
  std::shared_ptr<HttpService> out(new HttpService());
  out->config_ = input.config;
  out->host_address_ = input.host_address;
  out->node_id_ = input.node_id;
  out->service_cluster_ = input.service_cluster;
  out->buffer_limit_ = input.buffer_limit;
  const std::string prefix = absl::StrCat("http.", input.config->stat_prefix, ".");
  const bool admin = input.listener_stat_prefix == "listener.admin.";
  out->stats_ = input.stats->Register(prefix, admin ? AdminHttpStatSchema() : HttpStatSchema());
  out->http1_stats_ = input.stats->Register("http1.", Http1StatSchema(), /*when_touched=*/true);
  out->http2_stats_ = input.stats->Register("http2.", Http2StatSchema(), /*when_touched=*/true);
  out->listener_stats_ = input.stats->Register(absl::StrCat(input.listener_stat_prefix, prefix),
                                               ListenerHttpStatSchema());
  absl::StatusOr<AccessLog> log = AccessLog::Make(input.config->access_logs, *input.log_files);
  if (!log.ok()) return log.status();
  out->access_log_ = *std::move(log);
  if (absl::Status status = out->ReadRouter(input.config->filters); !status.ok()) return status;
  out->RegisterRoutes(*input.stats);
  out->DeriveCodecOptions();
  out->chain_ = out->MakeChain(input.config->filters, *input.stats);
  for (const xds::HttpUpgradeConfig& config : input.config->upgrades) {
    Upgrade upgrade;
    upgrade.type = config.type;
    upgrade.enabled = config.enabled;
    upgrade.own_chain = !config.filters.empty();
    if (upgrade.own_chain) upgrade.chain = out->MakeChain(config.filters, *input.stats);
    out->upgrades_.push_back(std::move(upgrade));
  }
  return std::shared_ptr<const HttpService>(std::move(out));
}

void HttpService::RegisterRoutes(StatStore& stats) const {
  if (config_->route_table != nullptr) RegisterRouteStats(*config_->route_table, stats);
  if (config_->scoped == nullptr) return;
  for (const auto& [key, scope] : config_->scoped->inline_scopes) {
    if (scope->table != nullptr) RegisterRouteStats(*scope->table, stats);
  }
}

absl::Status HttpService::ReadRouter(const std::vector<xds::HttpFilterConfig>& filters) {
  for (const xds::HttpFilterConfig& filter : filters) {
    if (!filter.is_router) continue;
    Router router;
    if (!router.ParseFromString(filter.config.value)) {
      return absl::InvalidArgumentError(absl::StrCat("bad configuration of '", filter.name, "'"));
    }
    respect_expected_timeout_ = router.respect_expected_rq_timeout();
    suppress_envoy_headers_ = router.suppress_envoy_headers();
    dynamic_stats_ = !router.has_dynamic_stats() || router.dynamic_stats().value();
  }
  return absl::OkStatus();
}

void HttpService::DeriveCodecOptions() {
  const uint32_t header_bytes = config_->max_request_headers_kb * 1024;
  http1_ = CodecOptions(config_->http1, config_->common);
  http1_.max_headers_bytes = header_bytes;
  http1_.buffer_limit = buffer_limit_;
  http1_.default_host_for_http_10 = config_->http1.default_host_for_http_10;
  if (!config_->http1.ignore_upgrade.empty()) {
    http1_.ignores_upgrade = IgnoresUpgrade;
    http1_.ignores_upgrade_config = &config_->http1.ignore_upgrade;
  }
  http2_ = CodecOptions(config_->http2, config_->common);
  http2_.max_headers_bytes = header_bytes;
  http2_.buffer_limit = buffer_limit_;
  http2_.stream_error_on_invalid_message = config_->http2.stream_error_on_invalid.value_or(
      config_->stream_error_on_invalid_http_message);
}

HttpService::Chain HttpService::MakeChain(const std::vector<xds::HttpFilterConfig>& filters,
                                          StatStore& stats) const {
  Chain chain;
  for (const xds::HttpFilterConfig& config : filters) {
    if (config.is_router) {
      chain.has_router = true;
      continue;
    }
    if (config.discovery != nullptr) {
      chain.has_router = chain.has_router || config.discovery->terminal;
      chain.filters.push_back(
          {&config, nullptr, absl::StrCat(config_->stat_prefix, "|", config.name)});
      continue;
    }
    if (config.factory == nullptr) continue;  // optional and unknown
    chain.filters.push_back(MakeFilter(config, config_->stat_prefix, stats));
  }
  return chain;
}

HttpService::Filter HttpService::MakeFilter(const xds::HttpFilterConfig& config,
                                            absl::string_view stat_prefix, StatStore& stats) {
  Filter filter;
  filter.config = &config;
  if (const absl::Span<const FilterStat> numbers = config.factory->stats(); !numbers.empty()) {
    const absl::string_view own = config.factory->stat_prefix();
    const std::string prefix = absl::StartsWith(own, ".")
                                   ? std::string(own.substr(1))
                                   : absl::StrCat("http.", stat_prefix, ".", own);
    filter.stats = stats.Register(prefix, SchemaOf(numbers));
  }
  return filter;
}

std::vector<const HttpService::Filter*> HttpService::LateFilters() const {
  std::vector<const Filter*> out;
  const auto add = [&out](const Chain& chain) {
    for (const Filter& filter : chain.filters) {
      if (!filter.late_key.empty()) out.push_back(&filter);
    }
  };
  add(chain_);
  for (const Upgrade& upgrade : upgrades_) add(upgrade.chain);
  return out;
}

const HttpService::Chain* HttpService::UpgradeChain(absl::string_view type,
                                                    std::optional<bool> route_allows) const {
  if (route_allows == false) return nullptr;
  for (const Upgrade& upgrade : upgrades_) {
    if (!absl::EqualsIgnoreCase(upgrade.type, type)) continue;
    if (!upgrade.enabled && !route_allows) return nullptr;
    return upgrade.own_chain ? &upgrade.chain : &chain_;
  }
  return route_allows ? &chain_ : nullptr;
}

}  // namespace remora::proxy
