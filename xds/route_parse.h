#ifndef REMORA_XDS_ROUTE_PARSE_H_
#define REMORA_XDS_ROUTE_PARSE_H_

#include <google/protobuf/any.pb.h>
#include <google/protobuf/map.h>

#include <optional>
#include <string>
#include <vector>

#include "envoy/config/route/v3/route_components.pb.h"
#include "xds/parse_context.h"
#include "xds/route.h"

namespace remora::xds {

// What a route takes from its virtual host and its table where it says nothing
// itself. For the parsers of route.h only.
struct RouteDefaults {
  std::vector<MirrorPolicy> mirrors;
  std::optional<RetryPolicy> retry;
  std::optional<HedgePolicy> hedge;
  uint32_t max_direct_response_body = 4096;
  bool ignore_path_parameters = false;
  bool validate_clusters = true;  // against ParseContext::known_clusters()
};

using RouteProto = envoy::config::route::v3::Route;
using RouteActionProto = envoy::config::route::v3::RouteAction;

ForwardAction ParseForward(const RouteActionProto& proto, const RouteMatch& match,
                           const RouteDefaults& defaults, ParseContext& context);
RedirectAction ParseRedirect(const envoy::config::route::v3::RedirectAction& proto,
                             ParseContext& context);
DirectResponseAction ParseDirectResponse(
    const envoy::config::route::v3::DirectResponseAction& proto, const RouteDefaults& defaults,
    ParseContext& context);
Route ParseRoute(const RouteProto& proto, const RouteDefaults& defaults, ParseContext& context);
VirtualHost ParseVirtualHost(const envoy::config::route::v3::VirtualHost& proto,
                             RouteDefaults defaults, ParseContext& context);

// Pieces that several levels share.
std::vector<MirrorPolicy> ParseMirrors(
    const google::protobuf::RepeatedPtrField<RouteActionProto::RequestMirrorPolicy>& list,
    ParseContext& context);
std::vector<HashPolicy> ParseHashPolicies(
    const google::protobuf::RepeatedPtrField<RouteActionProto::HashPolicy>& list,
    ParseContext& context);
PerFilterConfigs ParsePerFilter(
    const google::protobuf::Map<std::string, google::protobuf::Any>& map, ParseContext& context);
// A substitution, or nothing with an error at `field`.
std::optional<RegexSubstitution> ParseSubstitution(
    const char* field, const envoy::type::matcher::v3::RegexMatchAndSubstitute& proto,
    ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_ROUTE_PARSE_H_
