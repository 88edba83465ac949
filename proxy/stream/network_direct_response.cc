// envoy.filters.network.direct_response: says one thing and closes. Ends its chain.
#include <utility>

#include "proxy/stream/network_makers.h"
#include "xds/network_filter.h"

namespace remora::proxy {
namespace {

class DirectResponseFilter final : public NetworkFilter {
 public:
  DirectResponseFilter(NetworkChain& chain, const std::string& body) : chain_(chain), body_(body) {}

  Verdict OnNewConnection() override {
    Connection& connection = chain_.connection();
    connection.output().Append(body_);
    chain_.info().bytes_sent += body_.size();
    chain_.info().response_code_details = "direct_response";
    connection.CloseAfterFlush(0);
    return Verdict::kStop;
  }

 private:
  NetworkChain& chain_;
  const std::string& body_;
};

class DirectResponseFactory final : public NetworkFilterFactory {
 public:
  explicit DirectResponseFactory(std::string body) : body_(std::move(body)) {}
  std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const override {
    return std::make_unique<DirectResponseFilter>(chain, body_);
  }

 private:
  std::string body_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeDirectResponse(
    std::shared_ptr<const xds::NetworkSettings> settings, const NetworkFactoryInput&) {
  return std::make_shared<DirectResponseFactory>(
      static_cast<const xds::DirectResponse&>(*settings).body);
}

}  // namespace remora::proxy
