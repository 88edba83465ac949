#ifndef REMORA_PROXY_MAIN_ADMIN_STATS_PAGE_H_
#define REMORA_PROXY_MAIN_ADMIN_STATS_PAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/stats.h"
#include "proxy/main/admin/stat_tags.h"

namespace remora::proxy {

// What /stats was asked for.
struct StatsQuery {
  enum class Format { kText, kJson, kPrometheus };
  enum class Type { kAll, kCounters, kGauges, kHistograms, kTextReadouts };
  enum class Buckets { kSummary, kCumulative, kDisjoint, kDetailed };

  Format format = Format::kText;
  Type type = Type::kAll;
  Buckets buckets = Buckets::kSummary;
  bool used_only = false;
  bool text_readouts = false;  // in Prometheus output
  std::string filter;          // RE2, partial match; empty: all

  // From query parameters; an error's text is the body of a 400.
  static absl::StatusOr<StatsQuery> Parse(const std::vector<std::pair<std::string, std::string>>& parameters);
};

using IntervalSums = absl::flat_hash_map<std::string, Histogram::Sum>;

// The whole page. `intervals`: what each histogram took in during the last flush interval.
absl::StatusOr<std::string> RenderStats(const StatStore& store, const StatsQuery& query, const TagExtractor& tags,
                                        const IntervalSums& intervals);

// Envoy's quantiles of a histogram, in the order of kQuantiles.
inline constexpr double kQuantiles[] = {0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1};
std::vector<double> Quantiles(const Histogram::Sum& sum);

// Upper bounds of histogram buckets.
inline constexpr double kBounds[] = {0.5,  1,    5,    10,    25,    50,    100,    250,    500,    1000,
                                     2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};
// The number of values that lie below or at `bound`.
uint64_t CountBelow(const Histogram::Sum& sum, double bound);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_STATS_PAGE_H_
