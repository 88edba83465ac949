#ifndef REMORA_FILTERS_SIDE_RETRIES_H_
#define REMORA_FILTERS_SIDE_RETRIES_H_

#include "filters/api/side_call.h"

namespace envoy::config::core::v3 {
class RetryPolicy;
}

namespace remora {

// What a configured retry policy says of a filter's call: one repetition when it gives no number,
// delays from one second to ten times the first.
SideRetries SideRetriesFrom(const envoy::config::core::v3::RetryPolicy& proto);

}  // namespace remora

#endif  // REMORA_FILTERS_SIDE_RETRIES_H_
