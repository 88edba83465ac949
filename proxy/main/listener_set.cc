#include "proxy/main/listener_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

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

ListenerSet::ListenerSet(ListenerInput base, std::function<void(const std::string&)> log)
    : base_(std::move(base)),
      log_(std::move(log)),
      cells_(
          base_.stats->main_slab()->Cells(*base_.stats->Register("listener_manager.", kSchema))) {
  base_.buckets = &buckets_;
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
      if (previous != nullptr && (*built)->id == previous->id) Count(ManagerStat::kInPlaceUpdated);
      // Each worker takes it in.
      for (uint32_t i = 0; i < base_.workers; ++i) Count(ManagerStat::kCreateSuccess);
    }
    next.push_back(*std::move(built));
  }
  for (const auto& listener : served_) {
    if (resources.count(listener->config->name) == 0) Count(ManagerStat::kRemoved);
  }
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
