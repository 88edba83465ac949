#include "proxy/main/admin/admin_service.h"

#include <utility>

#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace remora::proxy {
namespace {

using Proto =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

Proto Describe() {
  Proto proto;
  proto.set_stat_prefix("admin");
  auto* host = proto.mutable_route_config()->add_virtual_hosts();
  host->set_name("admin");
  host->add_domains("*");
  auto* route = host->add_routes();
  route->mutable_match()->set_prefix("/");
  // The chain ends in the pages, whatever the name.
  route->mutable_route()->set_cluster("admin");
  route->mutable_route()->mutable_timeout();
  auto* filter = proto.add_http_filters();
  filter->set_name("envoy.filters.http.router");
  filter->mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());
  proto.mutable_use_remote_address()->set_value(true);
  proto.mutable_generate_request_id()->set_value(false);
  proto.mutable_normalize_path()->set_value(true);
  proto.set_merge_slashes(true);
  return proto;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const xds::HttpConnectionManager>> AdminConnectionManager(
    const xds::AdminConfig& admin) {
  xds::ParseContext context(xds::ParseContext::Origin::kStatic);
  absl::StatusOr<std::shared_ptr<const xds::HttpConnectionManager>> parsed =
      xds::HttpConnectionManager::Parse(Describe(), context);
  if (!parsed.ok()) return parsed.status();
  auto config = std::make_shared<xds::HttpConnectionManager>(**parsed);
  config->access_logs = admin.access_logs;
  return std::shared_ptr<const xds::HttpConnectionManager>(std::move(config));
}

}  // namespace remora::proxy
