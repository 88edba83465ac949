#include "proxy/main/admin/histogram_math.h"

#include <algorithm>
#include <cmath>

namespace remora::proxy {

std::vector<double> Quantiles(const Histogram::Sum& sum) {
  std::vector<double> out;
  // The bucket looked at: values number `below` + 1 to `below` + `count`.
  uint64_t below = 0;
  uint64_t count = sum.zeros;
  int index = -1;
  for (double quantile : kQuantiles) {
    const double share = std::ceil(static_cast<double>(sum.count) * quantile);
    const uint64_t rank = std::max<uint64_t>(1, static_cast<uint64_t>(share));
    while (below + count < rank && index + 1 < static_cast<int>(sum.buckets.size())) {
      below += count;
      count = sum.buckets[++index];
    }
    if (index < 0) {
      out.push_back(0);
      continue;
    }
    // As if the values of a bucket stood evenly in it.
    const double part = static_cast<double>(rank - below) / static_cast<double>(count + 1);
    out.push_back(Histogram::BucketStart(index) + Histogram::BucketWidth(index) * part);
  }
  return out;
}

uint64_t CountBelow(const Histogram::Sum& sum, double bound) {
  // A bucket that begins at or below the bound counts whole, as circllhist does it: what is
  // recorded are integers, mostly the bucket's very beginning. Rounding must not push the beginning
  // behind it.
  const double most = bound * (1 + 1e-9);
  uint64_t count = sum.zeros;
  for (size_t i = 0; i < sum.buckets.size(); ++i) {
    if (sum.buckets[i] == 0) continue;
    if (Histogram::BucketStart(static_cast<int>(i)) > most) break;
    count += sum.buckets[i];
  }
  return count;
}

Histogram::Sum Difference(const Histogram::Sum& now, const Histogram::Sum& before) {
  Histogram::Sum out = now;
  out.zeros -= before.zeros;
  out.count -= before.count;
  out.sum -= before.sum;
  for (size_t i = 0; i < before.buckets.size() && i < out.buckets.size(); ++i)
    out.buckets[i] -= before.buckets[i];
  return out;
}

}  // namespace remora::proxy
