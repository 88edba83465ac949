#ifndef REMORA_PROXY_MAIN_ADMIN_STATS_SELECTION_H_
#define REMORA_PROXY_MAIN_ADMIN_STATS_SELECTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "proxy/main/admin/stats_page.h"

namespace remora::proxy {

// Between the store and the formats: everything that a query lets through, sorted by name.
struct StatsSelection {
  struct Number {
    std::string name;
    uint64_t value;
  };
  struct Text {
    std::string name;
    std::string value;
  };
  struct Distribution {
    std::string name;
    Histogram::Sum sum;
    const Histogram::Sum* interval;  // null: nothing came lately
    absl::Span<const double> bounds;
  };

  std::vector<Number> counters;
  std::vector<Number> gauges;
  std::vector<Distribution> histograms;
  std::vector<Text> texts;

  // Counters and gauges together, by name.
  std::vector<Number> Numbers() const;
};

// The count of each bound: all values up to it, or those since the bound before.
std::vector<uint64_t> BoundCounts(const Histogram::Sum& sum, absl::Span<const double> bounds,
                                  bool disjoint);

// stats_json.cc
std::string RenderStatsJson(const StatsSelection& selection, StatsQuery::Buckets buckets);
// stats_prometheus.cc
std::string RenderStatsPrometheus(const StatsSelection& selection, const StatsQuery& query,
                                  const TagExtractor& tags);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_STATS_SELECTION_H_
