#ifndef REMORA_FILTERS_RATE_LIMITS_H_
#define REMORA_FILTERS_RATE_LIMITS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace envoy::config::route::v3 {
class RateLimit;
}
namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}

namespace remora {

class FilterContext;
class Headers;

// What a request is counted by: names and values, and what the configuration says about the limit.
struct RateLimitDescriptor {
  enum class Headers : uint8_t { kDefault, kOff, kDraft03 };
  using Entries = std::vector<std::pair<std::string, std::string>>;

  Entries entries;
  uint32_t limit_requests = 0;  // with limit_unit
  int limit_unit = 0;           // of envoy.type.v3.RateLimitUnit; 0: the limit is the service's
  std::optional<uint64_t> hits;
  bool negative_hits = false;
  Headers x_ratelimit = Headers::kDefault;
};

// The rate_limits of one level of a route: how descriptors are made from a request.
//
// Threads: const after Parse, shared.
class RateLimits {
 public:
  using List = google::protobuf::RepeatedPtrField<envoy::config::route::v3::RateLimit>;
  // Null for an empty list.
  static absl::StatusOr<std::shared_ptr<const RateLimits>> Parse(const List& list);
  ~RateLimits();

  // Appends the descriptors of one stage; of those for the stream's end, or of the others.
  void Describe(uint32_t stage, bool at_end, FilterContext& context, const Headers& request,
                std::vector<RateLimitDescriptor>* out) const;

 private:
  struct Action;
  struct Rule;
  RateLimits();
  static bool Act(const Action& action, FilterContext& context, const Headers& request,
                  RateLimitDescriptor* out);
  static void Limit(const Rule& rule, FilterContext& context, RateLimitDescriptor* out);
  static bool Hits(const Rule& rule, FilterContext& context, RateLimitDescriptor* out);

  std::vector<Rule> rules_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_RATE_LIMITS_H_
