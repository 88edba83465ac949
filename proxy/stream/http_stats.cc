#include "proxy/stream/http_stats.h"

#include <iterator>
#include <vector>

namespace remora::proxy {
namespace {

#define REMORA_HTTP_COUNTER(id, name) {name, StatKind::kCounter},
#define REMORA_HTTP_GAUGE(id, name) {name, StatKind::kGauge},
#define REMORA_HTTP_HISTOGRAM(id, name) {name, StatKind::kHistogram},
constexpr StatDef kHttpStats[] = {
    REMORA_HTTP_STATS(REMORA_HTTP_COUNTER, REMORA_HTTP_GAUGE, REMORA_HTTP_HISTOGRAM)};
#undef REMORA_HTTP_COUNTER
#undef REMORA_HTTP_GAUGE
#undef REMORA_HTTP_HISTOGRAM

constexpr StatDef kListenerStats[] = {
    {"downstream_rq_1xx", StatKind::kCounter}, {"downstream_rq_2xx", StatKind::kCounter},
    {"downstream_rq_3xx", StatKind::kCounter}, {"downstream_rq_4xx", StatKind::kCounter},
    {"downstream_rq_5xx", StatKind::kCounter}, {"downstream_rq_completed", StatKind::kCounter},
};

template <typename Enum>
void Count(const StatScope<Enum>& scope, Enum first, Enum completed, int status) {
  const int kind = status / 100;
  if (kind < 1 || kind > 5) return;
  scope.Add(static_cast<Enum>(static_cast<int>(first) + kind - 1));
  scope.Add(completed);
}

}  // namespace

StatSchema HttpStatSchema() { return kHttpStats; }

StatSchema AdminHttpStatSchema() {
  static const auto* const schema = [] {
    auto* out = new std::vector<StatDef>(std::begin(kHttpStats), std::end(kHttpStats));
    const auto from = static_cast<size_t>(HttpStat::kNoCluster);
    for (size_t i = from; i <= static_cast<size_t>(HttpStat::kTracingServiceForced); ++i) {
      if (i != static_cast<size_t>(HttpStat::kRsTooLarge)) (*out)[i].kind = StatKind::kHidden;
    }
    return out;
  }();
  return *schema;
}

StatSchema RouterStatSchema() {
  constexpr auto kFrom = static_cast<size_t>(HttpStat::kNoCluster);
  constexpr auto kTo = static_cast<size_t>(HttpStat::kRouterRqTotal);
  return StatSchema(kHttpStats).subspan(kFrom, kTo - kFrom + 1);
}

StatSchema ListenerHttpStatSchema() { return kListenerStats; }

void CountResponse(const StatScope<HttpStat>& scope, int status) {
  Count(scope, HttpStat::kRq1xx, HttpStat::kRqCompleted, status);
}

void CountResponse(const StatScope<ListenerHttpStat>& scope, int status) {
  Count(scope, ListenerHttpStat::k1xx, ListenerHttpStat::kCompleted, status);
}

}  // namespace remora::proxy
