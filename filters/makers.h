#ifndef REMORA_FILTERS_MAKERS_H_
#define REMORA_FILTERS_MAKERS_H_

#include "filters/api/factory.h"

namespace remora {

// Each filter's row for the table in registry.cc, defined in the filter's own file.
HttpFilterType ApiKeyAuthFilterType();
HttpFilterType BasicAuthFilterType();
HttpFilterType BufferFilterType();
HttpFilterType CorsFilterType();
HttpFilterType CsrfFilterType();
HttpFilterType ExtAuthzFilterType();
HttpFilterType FaultFilterType();
HttpFilterType HeaderMutationFilterType();
HttpFilterType HeaderToMetadataFilterType();
HttpFilterType HealthCheckFilterType();
HttpFilterType JwtAuthnFilterType();
HttpFilterType LocalRateLimitFilterType();
HttpFilterType RbacFilterType();
HttpFilterType SetMetadataFilterType();

}  // namespace remora

#endif  // REMORA_FILTERS_MAKERS_H_
