// Subsets: hosts that share the values of some labels are balanced among themselves, and a request
// goes to the subset whose labels it asks for, or to a fallback when there is none.
//
// Selectors say which keys make subsets. A request's criteria (by key) must name exactly the keys
// of one selector, unless redundant keys are allowed, and find a subset with those values. Else the
// selector with just those keys may say what to do, else the policy as a whole: nothing, any host,
// or the default subset. Each subset is a policy of its own over its hosts, with the algorithm of
// the cluster; what is costly (rings, tables) is built with the policy, pickers on first use.

#ifndef REMORA_LB_SUBSET_H_
#define REMORA_LB_SUBSET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lb/criteria.h"

namespace remora::lb {

struct SubsetSelector {
  enum class Fallback : uint8_t { kNotDefined, kNone, kAny, kDefault, kKeys };

  std::vector<std::string> keys;  // sorted, without repetition
  Fallback fallback = Fallback::kNotDefined;
  std::vector<std::string> fallback_keys;  // kKeys: some of `keys`, sorted
  // The first host with the labels is the whole subset, healthy or not.
  bool single_host = false;
};

struct SubsetConfig {
  enum class Fallback : uint8_t { kNone, kAny, kDefault };

  Fallback fallback = Fallback::kNone;
  std::vector<Criterion> default_subset;  // labels of the default subset's hosts
  std::vector<SubsetSelector> selectors;
  bool locality_weight_aware = false;
  bool scale_locality_weight = false;
  bool panic_mode_any = false;  // any host when the fallback finds none
  bool list_as_any = false;
  bool allow_redundant_keys = false;
  bool metadata_fallback_list = false;  // Criteria::fallbacks counts
};

// Keys of a fallback that the selector does not have, or all of them.
absl::Status CheckSubsets(const SubsetConfig& config);

}  // namespace remora::lb

#endif  // REMORA_LB_SUBSET_H_
