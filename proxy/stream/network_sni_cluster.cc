// envoy.filters.network.sni_cluster: the TCP proxy's cluster is named by the server name that the
// client asked for.
#include <string>

#include "proxy/stream/network_makers.h"

namespace remora::proxy {
namespace {

class SniClusterFilter final : public NetworkFilter {
 public:
  explicit SniClusterFilter(NetworkChain& chain) : chain_(chain) {}

  Verdict OnNewConnection() override {
    const absl::string_view name = chain_.connection().info().requested_server_name;
    if (!name.empty()) chain_.SetState(kTcpProxyClusterKey, std::string(name));
    return Verdict::kContinue;
  }

 private:
  NetworkChain& chain_;
};

class SniClusterFactory final : public NetworkFilterFactory {
 public:
  std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const override {
    return std::make_unique<SniClusterFilter>(chain);
  }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeSniCluster(
    std::shared_ptr<const xds::NetworkSettings>, const NetworkFactoryInput&) {
  return std::make_shared<SniClusterFactory>();
}

}  // namespace remora::proxy
