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
#include "xds/bootstrap.h"

namespace remora::proxy {

// What /stats was asked for.
struct StatsQuery {
  enum class Format { kText, kJson, kPrometheus, kHtml };
  enum class Type { kAll, kCounters, kGauges, kHistograms, kTextReadouts };
  enum class Buckets { kSummary, kCumulative, kDisjoint, kDetailed };

  Format format = Format::kText;
  Type type = Type::kAll;
  Buckets buckets = Buckets::kSummary;  // Prometheus: kCumulative unless asked for otherwise
  bool used_only = false;
  bool nothing = false;        // hidden ones were asked for, and none is
  bool text_readouts = false;  // in Prometheus output
  std::string filter;          // RE2, partial match; empty: all
  bool invert_filter = false;

  bool summary() const { return buckets == Buckets::kSummary; }

  // From query parameters; an error's text is the body of a 400. `prometheus`: /stats/prometheus.
  static absl::StatusOr<StatsQuery> Parse(
      const std::vector<std::pair<std::string, std::string>>& parameters, bool prometheus);
};

using IntervalSums = absl::flat_hash_map<std::string, Histogram::Sum>;

// What a page needs besides the numbers.
struct StatsContext {
  const TagExtractor& tags;
  const xds::StatsConfig& config;  // which statistics there are at all, and bounds of histograms
  const IntervalSums& intervals;   // what each histogram took in during the last flush interval
  bool flushed = true;             // before the first flush, histograms show nothing
};

// The whole page.
absl::StatusOr<std::string> RenderStats(const StatStore& store, const StatsQuery& query,
                                        const StatsContext& context);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_STATS_PAGE_H_
