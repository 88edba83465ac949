#include "filters/registry.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "filters/makers.h"

namespace remora {
namespace {

absl::string_view TypeName(absl::string_view type_url) {
  return type_url.substr(type_url.rfind('/') + 1);
}

absl::Status Unknown(absl::string_view name, absl::string_view type_url) {
  return absl::InvalidArgumentError(absl::StrCat("Didn't find a registered implementation for '",
                                                 name, "' with type URL: '", TypeName(type_url),
                                                 "'"));
}

}  // namespace

absl::Span<const HttpFilterType> HttpFilterTypes() {
  static const auto* const kTypes = new std::vector<HttpFilterType>{
      AdaptiveConcurrencyFilterType(),
      AdmissionControlFilterType(),
      ApiKeyAuthFilterType(),
      BandwidthLimitFilterType(),
      BasicAuthFilterType(),
      BufferFilterType(),
      CompositeFilterType(),
      CompressorFilterType(),
      CorsFilterType(),
      CsrfFilterType(),
      CustomResponseFilterType(),
      DecompressorFilterType(),
      ExtAuthzFilterType(),
      ExtProcFilterType(),
      FaultFilterType(),
      GrpcHttp1BridgeFilterType(),
      GrpcStatsFilterType(),
      GrpcWebFilterType(),
      HeaderMutationFilterType(),
      HeaderToMetadataFilterType(),
      HealthCheckFilterType(),
      JwtAuthnFilterType(),
      LocalRateLimitFilterType(),
      MatchedFilterType(),
      OnDemandFilterType(),
      RateLimitFilterType(),
      RbacFilterType(),
      SetFilterStateFilterType(),
      SetMetadataFilterType(),
      StatefulSessionFilterType(),
  };
  return *kTypes;
}

const HttpFilterType* FindHttpFilter(absl::string_view type_url) {
  for (const HttpFilterType& type : HttpFilterTypes()) {
    if (type.type_name == TypeName(type_url)) return &type;
  }
  return nullptr;
}

const HttpFilterType* FindHttpFilterByRouteType(absl::string_view type_url) {
  for (const HttpFilterType& type : HttpFilterTypes()) {
    if (!type.route_type_name.empty() && type.route_type_name == TypeName(type_url)) return &type;
  }
  return nullptr;
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> MakeHttpFilter(absl::string_view name,
                                                                    absl::string_view type_url,
                                                                    absl::string_view config) {
  const HttpFilterType* type = FindHttpFilter(type_url);
  if (type == nullptr) return Unknown(name, type_url);
  return type->make(config);
}

absl::StatusOr<std::shared_ptr<const void>> ParseRouteFilterConfig(absl::string_view name,
                                                                   absl::string_view type_url,
                                                                   absl::string_view config) {
  const HttpFilterType* type = FindHttpFilterByRouteType(type_url);
  if (type == nullptr) return Unknown(name, type_url);
  return type->parse_route(config);
}

}  // namespace remora
