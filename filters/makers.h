#ifndef REMORA_FILTERS_MAKERS_H_
#define REMORA_FILTERS_MAKERS_H_

#include "filters/api/factory.h"

namespace remora {

// Each filter's row for the table in registry.cc, defined in the filter's own file.
HttpFilterType AdaptiveConcurrencyFilterType();
HttpFilterType AdmissionControlFilterType();
HttpFilterType ApiKeyAuthFilterType();
HttpFilterType BandwidthLimitFilterType();
HttpFilterType BasicAuthFilterType();
HttpFilterType BufferFilterType();
HttpFilterType CompositeFilterType();
HttpFilterType CompressorFilterType();
HttpFilterType CorsFilterType();
HttpFilterType CsrfFilterType();
HttpFilterType CustomResponseFilterType();
HttpFilterType DecompressorFilterType();
HttpFilterType ExtAuthzFilterType();
HttpFilterType ExtProcFilterType();
HttpFilterType FaultFilterType();
HttpFilterType GrpcHttp1BridgeFilterType();
HttpFilterType GrpcStatsFilterType();
HttpFilterType GrpcWebFilterType();
HttpFilterType HeaderMutationFilterType();
HttpFilterType HeaderToMetadataFilterType();
HttpFilterType HealthCheckFilterType();
HttpFilterType JwtAuthnFilterType();
HttpFilterType LocalRateLimitFilterType();
HttpFilterType MatchedFilterType();
HttpFilterType OnDemandFilterType();
HttpFilterType RateLimitFilterType();
HttpFilterType RbacFilterType();
HttpFilterType SetFilterStateFilterType();
HttpFilterType SetMetadataFilterType();
HttpFilterType StatefulSessionFilterType();

}  // namespace remora

#endif  // REMORA_FILTERS_MAKERS_H_
