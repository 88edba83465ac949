#include "xds/runtime_layer.h"

#include "envoy/service/runtime/v3/rtds.pb.h"
#include "xds/type_registry.h"

namespace remora::xds {

absl::StatusOr<std::shared_ptr<const RuntimeLayer>> RuntimeLayer::Parse(
    const envoy::service::runtime::v3::Runtime& proto, ParseContext& /*context*/) {
  auto out = std::make_shared<RuntimeLayer>();
  out->values = Runtime::LayerFrom(proto.name(), proto.layer());
  out->original = SerializeDeterministically(proto);
  return out;
}

}  // namespace remora::xds
