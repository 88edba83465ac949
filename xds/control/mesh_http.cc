#include "xds/control/mesh_http.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "xds/control/mesh_parts.h"

namespace remora::control {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
namespace route = envoy::config::route::v3;

// What certainly has not reached the application: safe for every method.
constexpr char kRetryUnseen[] = "connect-failure,refused-stream,reset-before-request";
// What may have reached it: only for methods that may be repeated (RFC 9110
// §9.2.2).
constexpr char kRetryRepeatable[] = "connect-failure,refused-stream,reset-before-request,reset";
constexpr char kRbac[] = "envoy.filters.http.rbac";
constexpr char kRepeatableMethods[] = "GET|HEAD|OPTIONS|TRACE|PUT|DELETE";

void AddAccessLog(const std::string& path, envoy::config::accesslog::v3::AccessLog* out) {
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(path);
  out->set_name("envoy.access_loggers.file");
  out->mutable_typed_config()->PackFrom(file);
}

// `attempts` more tries, each on another endpoint. `many`: there are several
// sidecars, so that one whose application is away (503) is worth leaving.
void SetRetries(uint32_t attempts, bool repeatable, bool many, route::RouteAction* action) {
  route::RetryPolicy* policy = action->mutable_retry_policy();
  policy->set_retry_on(repeatable ? kRetryRepeatable : kRetryUnseen);
  policy->mutable_num_retries()->set_value(attempts);
  if (repeatable && many) {
    policy->set_retry_on(absl::StrCat(kRetryRepeatable, ",retriable-status-codes"));
    policy->add_retriable_status_codes(503);
  }
  auto* predicate = policy->add_retry_host_predicate();
  predicate->set_name("envoy.retry_host_predicates.previous_hosts");
  predicate->mutable_typed_config()->PackFrom(
      envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate());
  policy->set_host_selection_retry_max_attempts(5);
}

// Where a route leads and with which patience.
struct Destination {
  std::vector<Split> to;
  std::string prefix_rewrite;
  absl::Duration timeout;
  uint32_t retries = 0;
  bool many = false;
};

void SetAction(const Destination& to, bool repeatable, route::RouteAction* action) {
  if (to.to.size() == 1) {
    action->set_cluster(to.to[0].service);
  } else {
    for (const Split& split : to.to) {
      auto* weighted = action->mutable_weighted_clusters()->add_clusters();
      weighted->set_name(split.service);
      weighted->mutable_weight()->set_value(split.weight);
    }
  }
  if (!to.prefix_rewrite.empty()) {
    action->set_prefix_rewrite(to.prefix_rewrite);
  }
  SetDuration(to.timeout, action->mutable_timeout());
  if (to.retries > 0) SetRetries(to.retries, repeatable, to.many, action);
}

// Two routes for one match when retries are on: repeatable methods first.
void AddRoutes(const std::string& prefix, const std::string& path, const Destination& to,
               route::VirtualHost* host) {
  for (const bool repeatable : {true, false}) {
    if (repeatable && to.retries == 0) continue;
    route::Route* out = host->add_routes();
    if (path.empty()) {
      out->mutable_match()->set_prefix(prefix);
    } else {
      out->mutable_match()->set_path(path);
    }
    if (repeatable) {
      auto* method = out->mutable_match()->add_headers();
      method->set_name(":method");
      method->mutable_string_match()->mutable_safe_regex()->set_regex(kRepeatableMethods);
    }
    SetAction(to, repeatable, out->mutable_route());
  }
}

// Lets through the requests of whom `allow` names. Part of the routes, which
// take effect on open connections too, unlike the listener's TLS context.
envoy::extensions::filters::http::rbac::v3::RBACPerRoute Callers(
    const std::vector<std::string>& allow, const std::string& trust_domain) {
  envoy::extensions::filters::http::rbac::v3::RBACPerRoute config;
  auto* rules = config.mutable_rbac()->mutable_rules();
  rules->set_action(envoy::config::rbac::v3::RBAC::ALLOW);
  if (allow.empty()) return config;  // no policy, nobody
  envoy::config::rbac::v3::Policy policy;
  policy.add_permissions()->set_any(true);
  for (const std::string& name : allow) {
    auto* id = policy.add_principals()->mutable_authenticated()->mutable_principal_name();
    const std::string services = absl::StrCat("spiffe://", trust_domain, "/service/");
    if (name == "*") {
      id->set_prefix(services);
    } else {
      id->set_exact(absl::StrCat(services, name));
    }
  }
  (*rules->mutable_policies())["callers"] = policy;
  return config;
}

route::RouteConfiguration EverythingTo(const std::string& name, const Destination& to) {
  route::RouteConfiguration config;
  config.set_name(name);
  route::VirtualHost* host = config.add_virtual_hosts();
  host->set_name("all");
  host->add_domains("*");
  AddRoutes("/", "", to, host);
  return config;
}

Destination CallTo(const Services& services, const Route& entry) {
  Destination to{entry.to, entry.prefix_rewrite, entry.timeout.value_or(absl::Seconds(15)), 0,
                 false};
  bool first = true;
  for (const Split& split : entry.to) {
    auto found = services.services.find(split.service);
    if (found == services.services.end()) continue;
    const Service& service = found->second;
    if (first && !entry.timeout.has_value()) to.timeout = service.timeout;
    // A split is as patient as the least patient of its services.
    to.retries = first ? service.retries : std::min(to.retries, service.retries);
    to.many |= TargetsOf(service).size() > 1;
    first = false;
  }
  return to;
}

}  // namespace

void AddHttpFront(const HttpFront& front, envoy::config::listener::v3::FilterChain* chain) {
  hcm::HttpConnectionManager config;
  config.set_stat_prefix(front.stat_prefix);
  auto* rds = config.mutable_rds();
  rds->set_route_config_name(front.route_config);
  rds->mutable_config_source()->mutable_ads();
  rds->mutable_config_source()->set_resource_api_version(envoy::config::core::v3::ApiVersion::V3);
  if (front.hop == Hop::kEdge) {
    config.mutable_use_remote_address()->set_value(true);
  }
  config.add_upgrade_configs()->set_upgrade_type("websocket");
  config.mutable_http2_protocol_options()->set_allow_connect(true);
  if (!front.access_log.empty()) {
    AddAccessLog(front.access_log, config.add_access_log());
  }
  if (front.hop == Hop::kInbound) {
    // Empty here: who may call stands with the routes.
    auto* rbac = config.add_http_filters();
    rbac->set_name(kRbac);
    rbac->mutable_typed_config()->PackFrom(envoy::extensions::filters::http::rbac::v3::RBAC());
  }
  auto* router = config.add_http_filters();
  router->set_name("envoy.filters.http.router");
  router->mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
  auto* filter = chain->add_filters();
  filter->set_name("envoy.filters.network.http_connection_manager");
  filter->mutable_typed_config()->PackFrom(config);
}

void AddTcpProxy(const std::string& stat_prefix, const std::string& cluster,
                 const std::string& access_log, envoy::config::listener::v3::FilterChain* chain) {
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy config;
  config.set_stat_prefix(stat_prefix);
  config.set_cluster(cluster);
  // A connection refused by one endpoint goes to another.
  config.mutable_max_connect_attempts()->set_value(3);
  if (!access_log.empty()) AddAccessLog(access_log, config.add_access_log());
  auto* filter = chain->add_filters();
  filter->set_name("envoy.filters.network.tcp_proxy");
  filter->mutable_typed_config()->PackFrom(config);
}

route::RouteConfiguration InboundRoutes(const Service& service, const std::string& trust_domain) {
  // The caller's deadline holds; a second one here would only cut it short.
  route::RouteConfiguration config = EverythingTo(
      "inbound", {{{kLocalCluster, 1}}, "", absl::ZeroDuration(), service.retries, false});
  (*config.mutable_virtual_hosts(0)->mutable_typed_per_filter_config())[kRbac].PackFrom(
      Callers(service.allow, trust_domain));
  return config;
}

route::RouteConfiguration OutboundRoutes(const std::string& name, const Service& callee) {
  return EverythingTo(
      name, {{{callee.name, 1}}, "", callee.timeout, callee.retries, TargetsOf(callee).size() > 1});
}

route::RouteConfiguration GatewayRoutes(const Services& services, const Gateway& gateway) {
  route::RouteConfiguration config;
  config.set_name("gateway");
  std::map<std::string, route::VirtualHost*> hosts;
  for (const Route& entry : gateway.routes) {
    route::VirtualHost*& host = hosts[entry.host];
    if (host == nullptr) {
      host = config.add_virtual_hosts();
      host->set_name(entry.host == "*" ? "all" : entry.host);
      host->add_domains(entry.host);
    }
    AddRoutes(entry.prefix, entry.path, CallTo(services, entry), host);
  }
  return config;
}

}  // namespace remora::control
