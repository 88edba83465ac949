// envoy.filters.network.echo: sends back what comes. Ends its chain.
#include "proxy/stream/network_makers.h"

namespace remora::proxy {
namespace {

class EchoFilter final : public NetworkFilter {
 public:
  explicit EchoFilter(NetworkChain& chain) : chain_(chain) {}

  bool wants_data() const override { return true; }

  Verdict OnData(bool eof) override {
    Connection& connection = chain_.connection();
    const uint64_t size = connection.input().size();
    chain_.info().bytes_received += size;
    chain_.info().bytes_sent += size;
    connection.output().Append(connection.input());
    connection.Flush();
    if (eof) connection.CloseAfterFlush(0);
    return Verdict::kContinue;
  }

 private:
  NetworkChain& chain_;
};

class EchoFactory final : public NetworkFilterFactory {
 public:
  std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const override {
    return std::make_unique<EchoFilter>(chain);
  }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeEcho(
    std::shared_ptr<const xds::NetworkSettings>, const NetworkFactoryInput&) {
  return std::make_shared<EchoFactory>();
}

}  // namespace remora::proxy
