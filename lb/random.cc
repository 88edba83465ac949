// Random: any host of the list, all with the same chance. Weights do not count,
// as in Envoy (localities' do, when balanced by weight).

#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "lb/list_policy.h"
#include "lb/makers.h"

namespace remora::lb {

namespace {

struct Random {
  using Config = RandomConfig;

  Random(const RandomConfig&, const HostSet&, const Random*, absl::Span<const uint32_t>, uint64_t,
         TimePoint) {}

  uint32_t Pick(uint32_t, const HostList& list, PickContext& ctx) {
    return list.At(ctx.random.Below(list.size()));
  }
};

}  // namespace

std::shared_ptr<const Policy> MakeRandom(const PolicyConfig& config,
                                         std::shared_ptr<const HostSet> hosts,
                                         std::shared_ptr<const HostSet> local_hosts) {
  return ListPolicy<Random>::Make(config, std::move(hosts), std::move(local_hosts));
}

}  // namespace remora::lb
