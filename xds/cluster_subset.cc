// lb_subset_config and the subset policy, which have the same fields.

#include <algorithm>

#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb.h"
#include "filters/metadata.h"
#include "xds/cluster_parse.h"
#include "xds/lb_labels.h"

namespace remora::xds {
namespace {

std::vector<std::string> Sorted(const google::protobuf::RepeatedPtrField<std::string>& list) {
  std::vector<std::string> out(list.begin(), list.end());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// Both messages number their enumerators alike.
template <typename Proto>
lb::SubsetConfig Subsets(const Proto& proto) {
  lb::SubsetConfig out;
  out.fallback = static_cast<lb::SubsetConfig::Fallback>(proto.fallback_policy());
  out.default_subset = CriteriaOf(MetadataValue::From(proto.default_subset()));
  for (const auto& from : proto.subset_selectors()) {
    lb::SubsetSelector selector;
    selector.keys = Sorted(from.keys());
    selector.fallback = static_cast<lb::SubsetSelector::Fallback>(from.fallback_policy());
    selector.fallback_keys = Sorted(from.fallback_keys_subset());
    selector.single_host = from.single_host_per_subset();
    if (!selector.keys.empty()) out.selectors.push_back(std::move(selector));
  }
  out.locality_weight_aware = proto.locality_weight_aware();
  out.scale_locality_weight = proto.scale_locality_weight();
  out.panic_mode_any = proto.panic_mode_any();
  out.list_as_any = proto.list_as_any();
  out.metadata_fallback_list = static_cast<int>(proto.metadata_fallback_policy()) == 1;
  if constexpr (requires { proto.allow_redundant_keys(); }) {
    out.allow_redundant_keys = proto.allow_redundant_keys();
    if (out.allow_redundant_keys) {
      std::stable_sort(out.selectors.begin(), out.selectors.end(),
                       [](const lb::SubsetSelector& a, const lb::SubsetSelector& b) {
                         return a.keys.size() > b.keys.size();
                       });
    }
  }
  return out;
}

void Check(const lb::SubsetConfig& config, ParseContext& context) {
  if (absl::Status status = lb::CheckSubsets(config); !status.ok()) context.Error(status);
}

}  // namespace

std::shared_ptr<const lb::SubsetConfig> ParseSubsets(const ClusterProto::LbSubsetConfig& proto,
                                                     ParseContext& context) {
  if (proto.subset_selectors_size() == 0) return nullptr;
  auto out = std::make_shared<const lb::SubsetConfig>(Subsets(proto));
  ParseContext::Scope scope(context, "lb_subset_config");
  Check(*out, context);
  return out;
}

std::shared_ptr<const lb::SubsetConfig> ParseSubsets(
    const envoy::extensions::load_balancing_policies::subset::v3::Subset& proto,
    ParseContext& context) {
  auto out = std::make_shared<const lb::SubsetConfig>(Subsets(proto));
  Check(*out, context);
  return out;
}

}  // namespace remora::xds
