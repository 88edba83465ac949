// Ring hash (ketama): each host stands at a number of points by its weight, at
// the hashes of "KEY_0", "KEY_1", ...; a request goes to the first point at or
// after its hash. Points and their number agree with Envoy's.
//
// Hashes are spread evenly, so instead of a binary search the leading bits of
// the hash say where to begin: about one step from there, on average.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lb/hash_key.h"
#include "lb/hash_policy.h"
#include "lb/makers.h"

namespace remora::lb {

namespace {

class Ring {
 public:
  using Config = RingHashConfig;

  Ring(const RingHashConfig& config, const HostSet& hosts, const NormalizedHosts& normalized) {
    if (normalized.hosts.empty()) return;
    SortIntoBuckets(MakePoints(config, hosts, normalized));
  }

  const PolicyFigures& figures() const { return figures_; }

  uint32_t Find(uint64_t hash, uint32_t attempt) const {
    if (points_.empty()) return kNoHost;
    size_t at = starts_[hash >> shift_];
    while (at < points_.size() && points_[at].hash < hash) ++at;
    if (at == points_.size()) at = 0;
    if (attempt > 0) at = (at + attempt) % points_.size();
    return points_[at].number;
  }

 private:
  struct Point {
    uint64_t hash;
    uint32_t number;
  };

  // The host of least weight gets a whole number of points, unless the ring
  // would be too large; the others what running sums give them.
  std::vector<Point> MakePoints(const RingHashConfig& config, const HostSet& hosts,
                                const NormalizedHosts& normalized) {
    const double least = normalized.min_weight;
    const double scale =
        std::min(std::ceil(least * static_cast<double>(config.minimum_ring_size)) / least,
                 static_cast<double>(config.maximum_ring_size));
    figures_.table_size = static_cast<uint64_t>(std::ceil(scale));
    figures_.min_per_host = figures_.table_size;
    std::vector<Point> points;
    points.reserve(figures_.table_size + 1);
    std::string name;
    double current = 0;
    double target = 0;
    for (const NormalizedHosts::Weighted& host : normalized.hosts) {
      const absl::string_view key = TableKey(hosts.entry(host.number), config.hashing);
      name.assign(key.data(), key.size());
      name.push_back('_');
      const size_t prefix = name.size();
      target += scale * host.weight;
      uint64_t i = 0;
      for (; current < target; ++i, ++current) {
        name.resize(prefix);
        absl::StrAppend(&name, i);
        points.push_back({config.hash_function == HashFunction::kMurmurHash2 ? MurmurHash2(name)
                                                                             : XxHash64(name),
                          host.number});
      }
      figures_.min_per_host = std::min(figures_.min_per_host, i);
      figures_.max_per_host = std::max(figures_.max_per_host, i);
    }
    return points;
  }

  void SortIntoBuckets(const std::vector<Point>& unsorted) {
    int bits = 1;
    while ((size_t{1} << bits) < unsorted.size()) ++bits;
    shift_ = 64 - bits;
    // starts_[b] counts bucket b - 1, then becomes where bucket b begins.
    starts_.assign((size_t{1} << bits) + 1, 0);
    for (const Point& point : unsorted) ++starts_[(point.hash >> shift_) + 1];
    for (size_t b = 1; b < starts_.size(); ++b) starts_[b] += starts_[b - 1];

    points_.resize(unsorted.size());
    std::vector<uint32_t> fill(starts_.begin(), starts_.end() - 1);
    for (const Point& point : unsorted) {
      // Buckets hold one point on average: insertion keeps them sorted.
      const size_t bucket = point.hash >> shift_;
      uint32_t at = fill[bucket]++;
      for (; at > starts_[bucket] && points_[at - 1].hash > point.hash; --at) {
        points_[at] = points_[at - 1];
      }
      points_[at] = point;
    }
    starts_.pop_back();
  }

  PolicyFigures figures_;
  std::vector<Point> points_;  // by hash
  std::vector<uint32_t> starts_;
  int shift_ = 63;
};

}  // namespace

std::shared_ptr<const Policy> MakeRingHash(const PolicyConfig& config,
                                           std::shared_ptr<const HostSet> hosts,
                                           std::shared_ptr<const HostSet> /*local_hosts*/) {
  return HashPolicy<Ring>::Make(config, std::move(hosts));
}

}  // namespace remora::lb
