#ifndef REMORA_PROXY_STREAM_NETWORK_MAKERS_H_
#define REMORA_PROXY_STREAM_NETWORK_MAKERS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "proxy/stream/network_filter.h"

namespace remora::xds {
struct NetworkSettings;
}

namespace remora::proxy {

// How one filter's factory is made from its settings. The settings are those of the row's type.
using NetworkMaker = absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>>(
    std::shared_ptr<const xds::NetworkSettings> settings, const NetworkFactoryInput& input);

// Each is defined in its filter's own file.
NetworkMaker MakeConnectionLimit;
NetworkMaker MakeDirectResponse;
NetworkMaker MakeEcho;
NetworkMaker MakeNetworkRateLimit;
NetworkMaker MakeNetworkRbac;
NetworkMaker MakeSetFilterState;
NetworkMaker MakeSniCluster;

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_NETWORK_MAKERS_H_
