#include "absl/strings/str_cat.h"
#include "proxy/stream/network_makers.h"
#include "xds/network_filter.h"

namespace remora::proxy {
namespace {

struct Row {
  absl::string_view type;
  NetworkMaker* make;
};

// Every network filter that does not stand in a file of its own right (the connection manager and
// the TCP proxy do), by the type of its configuration.
constexpr Row kRows[] = {
    {xds::ConnectionLimit::kType, &MakeConnectionLimit},
    {xds::DirectResponse::kType, &MakeDirectResponse},
    {xds::Echo::kType, &MakeEcho},
    {xds::NetworkRateLimit::kType, &MakeNetworkRateLimit},
    {xds::NetworkRbac::kType, &MakeNetworkRbac},
    {xds::SetFilterState::kType, &MakeSetFilterState},
    {xds::SniCluster::kType, &MakeSniCluster},
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeNetworkFactory(
    const xds::NetworkFilter& config, const NetworkFactoryInput& input) {
  for (const Row& row : kRows) {
    if (row.type == config.type && config.settings != nullptr) {
      return row.make(config.settings, input);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("network filter ", config.name, " of type ", config.type, " is not supported"));
}

}  // namespace remora::proxy
