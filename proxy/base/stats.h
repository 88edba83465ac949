#ifndef REMORA_PROXY_BASE_STATS_H_
#define REMORA_PROXY_BASE_STATS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace remora::proxy {

// Statistics with one writer a cell. An entity (a cluster, a listener, a connection manager, ...)
// registers a block: a prefix and a schema of names. Each thread has its own cells of a block,
// allocated when it first touches the block; reading sums over threads. Names are rendered only
// while writing a scrape.

enum class StatKind : uint8_t {
  kCounter,
  kGauge,      // adds and subtractions of all threads are summed; Set() only from main
  kHistogram,  // Record(): integer units as the name says (ms, bytes)
  // Not shown before they counted something.
  kRareCounter,
  kRareHistogram,
  kHidden,  // never: the schema's user has no use for it
  kCodes,   // a family of counters, one per HTTP status: name + "200"; cells appear when counted
};

struct StatDef {
  absl::string_view name;
  StatKind kind;
};
using StatSchema = absl::Span<const StatDef>;

using StatCell = std::atomic<uint64_t>;

// A registered entity. Equal prefix and schema give the same block, so numbers survive
// configuration updates. Immutable; lives as long as the store.
struct StatBlock {
  uint32_t index;      // into every thread's table of cells
  std::string prefix;  // "cluster.web." (with its dot)
  StatSchema schema;
  bool when_touched = false;  // not shown before a thread touched it
};

// Log-linear buckets, 90 a decade, as circllhist's, so that quantiles agree with Envoy's.
class Histogram {
 public:
  static constexpr int kDecades = 16;  // 1 .. 10^16
  ~Histogram();
  void Record(uint64_t value);
  // Adds this histogram's buckets to `out` (index: decade * 90 + bucket; zero values at `zeros`).
  struct Sum {
    uint64_t zeros = 0;
    uint64_t count = 0;
    double sum = 0;
    std::vector<uint64_t> buckets;  // kDecades * 90, or empty
  };
  void AddTo(Sum& out) const;
  // Lower bound and width of a bucket.
  static double BucketStart(int index);
  static double BucketWidth(int index);

 private:
  struct Decade {
    std::atomic<uint64_t> counts[90] = {};
  };
  std::atomic<Decade*> decades_[kDecades] = {};
  std::atomic<uint64_t> zeros_{0};
  std::atomic<uint64_t> sum_{0};
};

// The cells of one thread.
class StatSlab {
 public:
  StatSlab() = default;
  ~StatSlab();

  // This thread's cells of `block`; stable for the life of the slab. Allocates at first use.
  StatCell* Cells(const StatBlock& block);

  // Numbers whose names only traffic tells (a gRPC method's). The first use of a name takes memory.
  void AddNamed(absl::string_view name, uint64_t amount);
  void RecordNamed(absl::string_view name, uint64_t value);

 private:
  friend class StatStore;
  // A list that only grows, at its head: readers of other threads need no more than that.
  struct Named {
    std::string name;
    StatCell value{0};
    std::unique_ptr<Histogram> histogram;  // null: a counter
    const Named* next = nullptr;
  };
  Named& NamedCell(absl::string_view name, bool histogram);

  absl::flat_hash_map<absl::string_view, std::unique_ptr<Named>> named_;  // the writer's
  std::atomic<const Named*> named_head_{nullptr};
  struct Entry {
    StatCell* cells = nullptr;
    StatSchema schema;
  };
  static constexpr size_t kPage = 256;
  struct Page {
    std::atomic<StatCell*> entries[kPage] = {};
    StatSchema schemas[kPage];
  };
  static constexpr size_t kMostPages = 4096;
  std::atomic<Page*> pages_[kMostPages] = {};
};

// A thread's cells with their names: Enum's values index the schema.
template <typename Enum>
class StatScope {
 public:
  StatScope() = default;
  explicit StatScope(StatCell* cells) : cells_(cells) {}

  void Add(Enum stat, uint64_t amount = 1) const {
    StatCell& cell = At(stat);
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void Sub(Enum stat, uint64_t amount = 1) const { Add(stat, uint64_t{0} - amount); }
  // Gauges owned by main.
  void Set(Enum stat, uint64_t value) const { At(stat).store(value, std::memory_order_relaxed); }
  uint64_t Get(Enum stat) const { return At(stat).load(std::memory_order_relaxed); }
  void Record(Enum stat, uint64_t value) const { RecordIn(At(stat), value); }
  void AddCode(Enum stat, int code) const { AddCodeIn(At(stat), code); }
  explicit operator bool() const { return cells_ != nullptr; }

 private:
  StatCell& At(Enum stat) const { return cells_[static_cast<size_t>(stat)]; }
  StatCell* cells_ = nullptr;

  static void RecordIn(StatCell& cell, uint64_t value);
  static void AddCodeIn(StatCell& cell, int code);
};

// Parts of StatScope that need no template.
void RecordInCell(StatCell& cell, uint64_t value);
void AddCodeInCell(StatCell& cell, int code);

template <typename Enum>
void StatScope<Enum>::RecordIn(StatCell& cell, uint64_t value) {
  RecordInCell(cell, value);
}
template <typename Enum>
void StatScope<Enum>::AddCodeIn(StatCell& cell, int code) {
  AddCodeInCell(cell, code);
}

// Main's registry. Register() and reading are main's; slabs are filled by their threads meanwhile.
class StatStore {
 public:
  StatStore();
  ~StatStore();

  // The schema must be static. Entities that vary share prefix and schema.
  const StatBlock* Register(absl::string_view prefix, StatSchema schema, bool when_touched = false);
  // A slab for one more thread; lives as long as the store. The first is main's.
  StatSlab* AddSlab();
  StatSlab* main_slab() { return slabs_.front().get(); }

  template <typename Enum>
  StatScope<Enum> MainScope(const StatBlock* block) {
    return StatScope<Enum>(main_slab()->Cells(*block));
  }

  // A text readout ("server.version").
  void SetText(absl::string_view name, std::string value);

  struct Visitor {
    // `used`: it was ever touched (Envoy's ?usedonly).
    std::function<void(const std::string& name, uint64_t value, bool used)> counter;
    std::function<void(const std::string& name, uint64_t value, bool used)> gauge;
    std::function<void(const std::string& name, const Histogram::Sum& sum)> histogram;
    std::function<void(const std::string& name, const std::string& value)> text;
  };
  // Calls the visitor for every statistic, block by block; not sorted.
  void Visit(const Visitor& visitor) const;
  // Sets counters to zero (/reset_counters): remembered as an offset, cells keep their writer.
  void ResetCounters();
  // The value of one counter or gauge by full name; for tests and /stats?filter fast paths. 0 when
  // unknown.
  uint64_t Value(absl::string_view full_name) const;

  size_t block_count() const { return blocks_.size(); }
  const StatBlock& block(size_t index) const { return *blocks_[index]; }

 private:
  std::vector<std::unique_ptr<StatBlock>> blocks_;
  absl::flat_hash_map<std::string, uint32_t> by_prefix_;
  std::vector<std::unique_ptr<StatSlab>> slabs_;
  absl::flat_hash_map<std::string, std::string> texts_;
  absl::flat_hash_map<std::string, uint64_t> counter_offsets_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_BASE_STATS_H_
