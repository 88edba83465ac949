#include "proxy/main/listener_set.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/timer.h"

namespace remora::proxy {
namespace {

// "listener_manager."
constexpr StatDef kSchema[] = {
    {"listener_added", StatKind::kCounter},
    {"listener_create_failure", StatKind::kCounter},
    {"listener_create_success", StatKind::kCounter},
    {"listener_in_place_updated", StatKind::kCounter},
    {"listener_modified", StatKind::kCounter},
    {"listener_removed", StatKind::kCounter},
    {"listener_stopped", StatKind::kCounter},
    {"total_filter_chains_draining", StatKind::kGauge},
    {"total_listeners_active", StatKind::kGauge},
    {"total_listeners_draining", StatKind::kGauge},
    {"total_listeners_warming", StatKind::kGauge},
    {"workers_pinned", StatKind::kGauge},
    {"workers_started", StatKind::kGauge},
};

}  // namespace

// What drains: whole listeners, and chains that an update took out of one. Each ends by itself.
class ListenerSet::Drains {
 public:
  Drains(ListenerSet* set, Loop* loop, int64_t duration_ms)
      : set_(set),
        duration_ms_(duration_ms),
        loop_(loop),
        timer_(&loop->timers(), [](void* self) { static_cast<Drains*>(self)->OnTimer(); }, this) {}

  struct Item {
    int64_t until_ns = 0;
    size_t chains = 0;
    std::optional<xds::ListenerResource> listener;
  };
  void Add(size_t chains, std::optional<xds::ListenerResource> listener) {
    items_.push_back({loop_->now_ns() + duration_ms_ * 1000000, chains, std::move(listener)});
    if (!timer_.armed()) timer_.StartMs(duration_ms_);
    Publish();
  }
  const std::deque<Item>& items() const { return items_; }

 private:
  void OnTimer() {
    while (!items_.empty() && items_.front().until_ns <= loop_->now_ns()) items_.pop_front();
    if (!items_.empty()) timer_.Start(items_.front().until_ns - loop_->now_ns());
    Publish();
  }
  void Publish() {
    uint64_t chains = 0;
    uint64_t listeners = 0;
    for (const Item& item : items_) {
      chains += item.chains;
      listeners += item.listener.has_value() ? 1 : 0;
    }
    set_->Set(ManagerStat::kFilterChainsDraining, chains);
    set_->Set(ManagerStat::kDraining, listeners);
  }

  ListenerSet* set_;
  int64_t duration_ms_;
  Loop* loop_;
  Timer timer_;
  std::deque<Item> items_;
};

ListenerSet::ListenerSet(ListenerInput base, std::function<void(const std::string&)> log)
    : base_(std::move(base)),
      log_(std::move(log)),
      cells_(
          base_.stats->main_slab()->Cells(*base_.stats->Register("listener_manager.", kSchema))) {
  base_.buckets = &buckets_;
}

ListenerSet::~ListenerSet() = default;

void ListenerSet::set_drain(Loop* loop, int64_t duration_ms) {
  drains_ = std::make_unique<Drains>(this, loop, duration_ms);
}

std::vector<xds::ListenerResource> ListenerSet::draining() const {
  std::vector<xds::ListenerResource> out;
  if (drains_ == nullptr) return out;
  for (const Drains::Item& item : drains_->items()) {
    if (item.listener.has_value()) out.push_back(*item.listener);
  }
  return out;
}

void ListenerSet::NoteReplaced(const ServedListener& old, const ServedListener& next) {
  if (old.id != next.id) return NoteRemoved(old);
  if (drains_ == nullptr) return;
  size_t gone = 0;
  for (const auto& [config, chain] : old.chains) {
    gone += std::none_of(
        next.chains.begin(), next.chains.end(),
        [&chain = chain](const auto& kept) { return kept.second->config == chain->config; });
  }
  if (gone > 0) drains_->Add(gone, std::nullopt);
}

void ListenerSet::NoteRemoved(const ServedListener& old) {
  // Before the workers began there was nothing to let go.
  if (drains_ == nullptr || !listening_) return;
  const auto resource = resources_.find(old.config->name);
  if (resource != resources_.end()) drains_->Add(0, resource->second);
}

// Who comes to an address that no listener has any longer is refused at once.
void ListenerSet::CloseUnused(const std::vector<std::shared_ptr<const ServedListener>>& next) {
  std::set<const ListenGroup*> used;
  for (const auto& listener : next) {
    for (const auto& group : listener->sockets) used.insert(group.get());
  }
  for (const auto& listener : served_) {
    for (const auto& group : listener->sockets) {
      if (used.count(group.get()) == 0) group->Close();
    }
  }
}

void ListenerSet::Set(ManagerStat stat, uint64_t value) {
  cells_[static_cast<size_t>(stat)].store(value, std::memory_order_relaxed);
}

void ListenerSet::Count(ManagerStat stat) {
  StatCell& cell = cells_[static_cast<size_t>(stat)];
  cell.store(cell.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

absl::Status ListenerSet::Apply(const std::vector<xds::ListenerResource>& listeners,
                                bool secrets_changed) {
  absl::Status first;
  std::vector<std::shared_ptr<const ServedListener>> next;
  std::map<std::string, xds::ListenerResource> resources;
  for (const xds::ListenerResource& resource : listeners) {
    const std::string& name = resource.config->name;
    const auto known = std::find_if(served_.begin(), served_.end(), [&](const auto& listener) {
      return listener->config->name == name;
    });
    const std::shared_ptr<const ServedListener> previous =
        known == served_.end() ? nullptr : *known;
    resources[name] = resource;
    if (previous != nullptr && previous->config == resource.config && !secrets_changed) {
      next.push_back(previous);
      continue;
    }
    ListenerInput input = base_;
    input.config = resource.config;
    input.previous = previous;
    input.refresh_tls = secrets_changed;
    absl::StatusOr<std::shared_ptr<const ServedListener>> built = BuildListener(input);
    if (!built.ok()) {
      Count(ManagerStat::kCreateFailure);
      if (first.ok()) first = built.status();
      log_(absl::StrCat("listener '", name, "' failed to be added or updated: ",
                        std::string(built.status().message())));
      if (previous != nullptr) next.push_back(previous);
      continue;
    }
    const bool changed = previous == nullptr || previous->config != resource.config;
    if (changed) {
      Count(previous == nullptr ? ManagerStat::kAdded : ManagerStat::kModified);
      if (previous != nullptr) NoteReplaced(*previous, **built);
      if (previous != nullptr && (*built)->id == previous->id) Count(ManagerStat::kInPlaceUpdated);
      // Each worker takes it in.
      for (uint32_t i = 0; i < base_.workers; ++i) Count(ManagerStat::kCreateSuccess);
    }
    next.push_back(*std::move(built));
  }
  for (const auto& listener : served_) {
    if (resources.count(listener->config->name) > 0) continue;
    Count(ManagerStat::kRemoved);
    NoteRemoved(*listener);
  }
  CloseUnused(next);
  served_ = std::move(next);
  resources_ = std::move(resources);
  cells_[static_cast<size_t>(ManagerStat::kActive)].store(served_.size(),
                                                          std::memory_order_relaxed);
  if (listening_) Listen();
  return first;
}

void ListenerSet::Listen() {
  listening_ = true;
  for (const auto& listener : served_) {
    for (const auto& group : listener->sockets) {
      const absl::Status status = group->Listen();
      if (!status.ok())
        log_(absl::StrCat("listener '", listener->config->name,
                          "': ", std::string(status.message())));
    }
  }
}

void ListenerSet::StopListening(bool inbound_only) {
  for (const auto& listener : served_) {
    if (inbound_only && listener->config->direction != xds::Listener::Direction::kInbound) continue;
    for (const auto& group : listener->sockets) group->StopListening();
    Count(ManagerStat::kStopped);
  }
}

const xds::ListenerResource* ListenerSet::resource(const std::string& name) const {
  const auto found = resources_.find(name);
  return found == resources_.end() ? nullptr : &found->second;
}

void ListenerSet::SetWorkersStarted() {
  cells_[static_cast<size_t>(ManagerStat::kWorkersStarted)].store(1, std::memory_order_relaxed);
}

}  // namespace remora::proxy
