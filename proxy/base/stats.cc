#include "proxy/base/stats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

// 10^0 to 10^15.
constexpr auto kPowers = [] {
  std::array<uint64_t, Histogram::kDecades> powers{};
  uint64_t power = 1;
  for (uint64_t& entry : powers) {
    entry = power;
    power *= 10;
  }
  return powers;
}();

constexpr int kCodeFirst = 100;
constexpr int kCodeCount = 500;

struct CodeCells {
  StatCell counts[kCodeCount] = {};
};

// Cells of histograms and code families hold a pointer, made at first use by the cell's one writer.
template <typename T>
T* PointerIn(const StatCell& cell) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(cell.load(std::memory_order_acquire)));
}

template <typename T>
T& MadeIn(StatCell& cell) {
  T* object = PointerIn<T>(cell);
  if (object == nullptr) {
    object = new T;
    cell.store(static_cast<uint64_t>(reinterpret_cast<uintptr_t>(object)),
               std::memory_order_release);
  }
  return *object;
}

void Bump(std::atomic<uint64_t>& counter, uint64_t amount) {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

Histogram::~Histogram() {
  for (auto& decade : decades_) delete decade.load(std::memory_order_relaxed);
}

void Histogram::Record(uint64_t value) {
  Bump(sum_, value);
  if (value == 0) {
    Bump(zeros_, 1);
    return;
  }
  int decade = 0;
  while (decade < kDecades - 1 && value >= kPowers[decade + 1]) ++decade;
  // Two leading digits, 10 to 99: 90 buckets a decade.
  const uint64_t digits = decade == 0 ? value * 10 : value / kPowers[decade - 1];
  Decade* cells = decades_[decade].load(std::memory_order_relaxed);
  if (cells == nullptr) {
    cells = new Decade;
    decades_[decade].store(cells, std::memory_order_release);
  }
  Bump(cells->counts[std::min<uint64_t>(digits, 99) - 10], 1);
}

void Histogram::AddTo(Sum& out) const {
  const uint64_t zeros = zeros_.load(std::memory_order_relaxed);
  out.zeros += zeros;
  out.count += zeros;
  for (int decade = 0; decade < kDecades; ++decade) {
    const Decade* cells = decades_[decade].load(std::memory_order_acquire);
    if (cells == nullptr) continue;
    if (out.buckets.empty()) out.buckets.resize(kDecades * 90);
    for (int i = 0; i < 90; ++i) {
      const uint64_t count = cells->counts[i].load(std::memory_order_relaxed);
      out.buckets[decade * 90 + i] += count;
      out.count += count;
    }
  }
  out.sum += static_cast<double>(sum_.load(std::memory_order_relaxed));
}

double Histogram::BucketWidth(int index) { return std::pow(10.0, index / 90) / 10; }

double Histogram::BucketStart(int index) { return (index % 90 + 10) * BucketWidth(index); }

void RecordInCell(StatCell& cell, uint64_t value) { MadeIn<Histogram>(cell).Record(value); }

void AddCodeInCell(StatCell& cell, int code) {
  if (code < kCodeFirst || code >= kCodeFirst + kCodeCount) return;
  Bump(MadeIn<CodeCells>(cell).counts[code - kCodeFirst], 1);
}

StatSlab::~StatSlab() {
  for (auto& slot : pages_) {
    Page* page = slot.load(std::memory_order_relaxed);
    if (page == nullptr) continue;
    for (size_t i = 0; i < kPage; ++i) {
      StatCell* cells = page->entries[i].load(std::memory_order_relaxed);
      if (cells == nullptr) continue;
      for (size_t s = 0; s < page->schemas[i].size(); ++s) {
        const StatKind kind = page->schemas[i][s].kind;
        if (kind == StatKind::kHistogram || kind == StatKind::kRareHistogram) {
          delete PointerIn<Histogram>(cells[s]);
        }
        if (page->schemas[i][s].kind == StatKind::kCodes) delete PointerIn<CodeCells>(cells[s]);
      }
      delete[] cells;
    }
    delete page;
  }
}

StatSlab::Named& StatSlab::NamedCell(absl::string_view name, bool histogram) {
  const auto found = named_.find(name);
  if (found != named_.end()) return *found->second;
  auto made = std::make_unique<Named>();
  made->name = std::string(name);
  if (histogram) made->histogram = std::make_unique<Histogram>();
  made->next = named_head_.load(std::memory_order_relaxed);
  named_head_.store(made.get(), std::memory_order_release);
  const absl::string_view key = made->name;
  return *named_.emplace(key, std::move(made)).first->second;
}

void StatSlab::AddNamed(absl::string_view name, uint64_t amount) {
  Bump(NamedCell(name, /*histogram=*/false).value, amount);
}

void StatSlab::RecordNamed(absl::string_view name, uint64_t value) {
  NamedCell(name, /*histogram=*/true).histogram->Record(value);
}

StatCell* StatSlab::Cells(const StatBlock& block) {
  std::atomic<Page*>& slot = pages_[block.index / kPage];
  Page* page = slot.load(std::memory_order_relaxed);
  if (page == nullptr) {
    page = new Page;
    slot.store(page, std::memory_order_release);
  }
  const size_t at = block.index % kPage;
  StatCell* cells = page->entries[at].load(std::memory_order_relaxed);
  if (cells == nullptr) {
    cells = new StatCell[block.schema.size()]();
    page->schemas[at] = block.schema;
    page->entries[at].store(cells, std::memory_order_release);
  }
  return cells;
}

StatStore::StatStore() { AddSlab(); }

StatStore::~StatStore() = default;

StatSlab* StatStore::AddSlab() {
  slabs_.push_back(std::make_unique<StatSlab>());
  return slabs_.back().get();
}

const StatBlock* StatStore::Register(absl::string_view prefix, StatSchema schema,
                                     bool when_touched) {
  // The same prefix may carry several schemas (a cluster's own and a filter's).
  const std::string key = absl::StrCat(prefix, "|", reinterpret_cast<uintptr_t>(schema.data()));
  const auto found = by_prefix_.find(key);
  if (found != by_prefix_.end()) return blocks_[found->second].get();
  std::string clean(prefix);
  std::replace(clean.begin(), clean.end(), ':', '_');
  const auto index = static_cast<uint32_t>(blocks_.size());
  blocks_.push_back(
      std::make_unique<StatBlock>(StatBlock{index, std::move(clean), schema, when_touched}));
  by_prefix_.emplace(key, index);
  return blocks_.back().get();
}

void StatStore::SetText(absl::string_view name, std::string value) {
  texts_[std::string(name)] = std::move(value);
}

namespace {

// The cells of one statistic in every slab that has them.
template <typename Fn>
void ForEachCell(const std::vector<StatCell*>& arrays, size_t stat, Fn&& fn) {
  for (StatCell* cells : arrays) fn(cells[stat]);
}

// One statistic of one block, summed over the arrays of the threads that touched it.
class StatReader {
 public:
  using Offsets = absl::flat_hash_map<std::string, uint64_t>;
  StatReader(const StatStore::Visitor& visitor, const Offsets& offsets)
      : visitor_(visitor), offsets_(offsets) {}

  void Read(const StatBlock& block, size_t index, const std::vector<StatCell*>& arrays) const {
    const StatDef& def = block.schema[index];
    switch (def.kind) {
      case StatKind::kCounter:
        if (visitor_.counter) Counter(absl::StrCat(block.prefix, def.name), Total(arrays, index));
        break;
      case StatKind::kRareCounter:
        if (!visitor_.counter || Total(arrays, index) == 0) break;
        Counter(absl::StrCat(block.prefix, def.name), Total(arrays, index));
        break;
      case StatKind::kHidden:
        break;
      case StatKind::kGauge:
        if (!visitor_.gauge) break;
        visitor_.gauge(absl::StrCat(block.prefix, def.name), Total(arrays, index), !arrays.empty());
        break;
      case StatKind::kHistogram:
      case StatKind::kRareHistogram:
        if (visitor_.histogram) ReadHistogram(block, index, arrays);
        break;
      case StatKind::kCodes:
        if (visitor_.counter) ReadCodes(absl::StrCat(block.prefix, def.name), index, arrays);
        break;
    }
  }

  // Counters since the last reset.
  void Counter(const std::string& name, uint64_t total) const {
    const auto offset = offsets_.find(name);
    visitor_.counter(name, offset == offsets_.end() ? total : total - offset->second, total > 0);
  }

 private:
  static uint64_t Total(const std::vector<StatCell*>& arrays, size_t index) {
    uint64_t total = 0;
    ForEachCell(arrays, index,
                [&](StatCell& cell) { total += cell.load(std::memory_order_relaxed); });
    return total;
  }

  void ReadHistogram(const StatBlock& block, size_t index,
                     const std::vector<StatCell*>& arrays) const {
    Histogram::Sum sum;
    ForEachCell(arrays, index, [&](StatCell& cell) {
      if (const auto* histogram = PointerIn<Histogram>(cell)) histogram->AddTo(sum);
    });
    const StatDef& def = block.schema[index];
    if (def.kind == StatKind::kRareHistogram && sum.count == 0) return;
    visitor_.histogram(absl::StrCat(block.prefix, def.name), sum);
  }

  void ReadCodes(const std::string& name, size_t index,
                 const std::vector<StatCell*>& arrays) const {
    for (int code = 0; code < kCodeCount; ++code) {
      uint64_t total = 0;
      ForEachCell(arrays, index, [&](StatCell& cell) {
        const auto* codes = PointerIn<CodeCells>(cell);
        if (codes != nullptr) total += codes->counts[code].load(std::memory_order_relaxed);
      });
      if (total > 0) Counter(absl::StrCat(name, code + kCodeFirst), total);
    }
  }

  const StatStore::Visitor& visitor_;
  const Offsets& offsets_;
};

}  // namespace

void StatStore::Visit(const Visitor& visitor) const {
  const StatReader reader(visitor, counter_offsets_);
  std::vector<StatCell*> arrays;
  for (const auto& block : blocks_) {
    arrays.clear();
    for (const auto& slab : slabs_) {
      const auto* page =
          slab->pages_[block->index / StatSlab::kPage].load(std::memory_order_acquire);
      if (page == nullptr) continue;
      StatCell* cells =
          page->entries[block->index % StatSlab::kPage].load(std::memory_order_acquire);
      if (cells != nullptr) arrays.push_back(cells);
    }
    if (block->when_touched && arrays.empty()) continue;
    for (size_t i = 0; i < block->schema.size(); ++i) reader.Read(*block, i, arrays);
  }
  absl::flat_hash_map<std::string, uint64_t> named;
  absl::flat_hash_map<std::string, Histogram::Sum> named_histograms;
  for (const auto& slab : slabs_) {
    const StatSlab::Named* cell = slab->named_head_.load(std::memory_order_acquire);
    for (; cell != nullptr; cell = cell->next) {
      if (cell->histogram == nullptr) {
        named[cell->name] += cell->value.load(std::memory_order_relaxed);
      } else {
        cell->histogram->AddTo(named_histograms[cell->name]);
      }
    }
  }
  if (visitor.counter) {
    for (const auto& [name, total] : named) reader.Counter(name, total);
  }
  if (visitor.histogram) {
    for (const auto& [name, sum] : named_histograms) visitor.histogram(name, sum);
  }
  if (visitor.text) {
    for (const auto& [name, value] : texts_) visitor.text(name, value);
  }
}

void StatStore::ResetCounters() {
  absl::flat_hash_map<std::string, uint64_t> offsets;
  Visitor visitor;
  visitor.counter = [&](const std::string& name, uint64_t value, bool) {
    const auto before = counter_offsets_.find(name);
    offsets[name] = value + (before == counter_offsets_.end() ? 0 : before->second);
  };
  Visit(visitor);
  counter_offsets_ = std::move(offsets);
}

uint64_t StatStore::Value(absl::string_view full_name) const {
  uint64_t found = 0;
  Visitor visitor;
  visitor.counter = visitor.gauge = [&](const std::string& name, uint64_t value, bool) {
    if (name == full_name) found = value;
  };
  Visit(visitor);
  return found;
}

}  // namespace remora::proxy
