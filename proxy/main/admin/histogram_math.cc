#include "proxy/main/admin/histogram_math.h"

namespace remora::proxy {

std::vector<double> Quantiles(const Histogram::Sum& sum) {
  std::vector<double> out;
  double lower = 0;
  double upper = static_cast<double>(sum.zeros);
  double left = 0;
  double width = 0;
  int index = -1;
  const auto total = static_cast<double>(sum.count);
  const int buckets = static_cast<int>(sum.buckets.size());
  const auto next = [&] {
    while (++index < buckets) {
      if (sum.buckets[index] == 0) continue;
      lower = upper;
      upper += static_cast<double>(sum.buckets[index]);
      left = Histogram::BucketStart(index);
      width = Histogram::BucketWidth(index);
      return true;
    }
    return false;
  };
  if (sum.zeros == 0) next();
  for (double quantile : kQuantiles) {
    const double rank = total * quantile;
    while (upper < rank && next()) {
    }
    if (rank == lower) {
      out.push_back(left);
    } else if (rank == upper || width == 0) {
      out.push_back(left + width);
    } else {
      out.push_back(left + (rank - lower) / (upper - lower) * width);
    }
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
