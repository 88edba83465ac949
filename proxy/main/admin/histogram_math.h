#ifndef REMORA_PROXY_MAIN_ADMIN_HISTOGRAM_MATH_H_
#define REMORA_PROXY_MAIN_ADMIN_HISTOGRAM_MATH_H_

#include <cstdint>
#include <vector>

#include "proxy/base/stats.h"

namespace remora::proxy {

// Envoy's quantiles of a histogram, in the order of kQuantiles. `sum` holds at least one value.
// The interpolation is circllhist's.
inline constexpr double kQuantiles[] = {0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1};
std::vector<double> Quantiles(const Histogram::Sum& sum);

// Upper bounds that histograms are shown by unless the bootstrap has others.
inline constexpr double kBounds[] = {0.5,   1,      5,      10,      25,     50,    100,
                                     250,   500,    1000,   2500,    5000,   10000, 30000,
                                     60000, 300000, 600000, 1800000, 3600000};
// The number of values in buckets that begin below or at `bound`.
uint64_t CountBelow(const Histogram::Sum& sum, double bound);

// What came between `before` and `now`, two looks at one histogram.
Histogram::Sum Difference(const Histogram::Sum& now, const Histogram::Sum& before);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_HISTOGRAM_MATH_H_
