// envoy.filters.http.on_demand: fetches what a request needs and is not there yet. Without a source
// for clusters it has nothing to fetch that the routes did not bring.
#include <memory>

#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "filters/makers.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::on_demand::v3;

class OnDemandFilter final : public HttpFilter {};

class OnDemandFactory final : public FilterFactory {
 public:
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(OnDemandFilter))) OnDemandFilter();
  }
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::OnDemand> proto = DecodeConfig<pb::OnDemand>(config);
  if (!proto.ok()) return proto.status();
  if (proto->has_odcds()) return NotSupported("on_demand", "odcds");
  return std::make_shared<OnDemandFactory>();
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::PerRouteConfig> proto = DecodeConfig<pb::PerRouteConfig>(config);
  if (!proto.ok()) return proto.status();
  if (proto->has_odcds()) return NotSupported("on_demand", "odcds");
  return std::shared_ptr<const void>(std::make_shared<int>());
}

}  // namespace

HttpFilterType OnDemandFilterType() {
  return {"envoy.extensions.filters.http.on_demand.v3.OnDemand", &Make,
          "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig", &ParseRoute};
}

}  // namespace remora
