#ifndef REMORA_XDS_RUNTIME_LAYER_H_
#define REMORA_XDS_RUNTIME_LAYER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "filters/runtime.h"
#include "xds/parse_context.h"

namespace envoy::service::runtime::v3 {
class Runtime;
}

namespace remora::xds {

// The values of a runtime layer that comes by RTDS.
struct RuntimeLayer {
  Runtime::Layer values;
  std::string original;

  static absl::StatusOr<std::shared_ptr<const RuntimeLayer>> Parse(
      const envoy::service::runtime::v3::Runtime& proto, ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_RUNTIME_LAYER_H_
