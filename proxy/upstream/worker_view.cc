#include "proxy/upstream/worker_view.h"

#include <utility>

#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/dialer.h"

namespace remora::proxy {

void SnapshotPin::Release() {
  InstalledSnapshot* snapshot = std::exchange(snapshot_, nullptr);
  if (snapshot == nullptr || --snapshot->pins_ != 0) return;
  snapshot->view_->Unpinned(snapshot);
}

namespace {

template <typename Map>
auto FindIn(const Map& map, absl::string_view key) {
  const auto it = map.find(key);
  return it == map.end() ? nullptr : it->second.get();
}

}  // namespace

const xds::RouteTable* SnapshotPin::FindRoutes(absl::string_view name) const {
  return FindIn(snapshot_->routes_->tables, name);
}

const xds::ScopedRoute* SnapshotPin::FindScope(absl::string_view key) const {
  const auto& scopes = snapshot_->routes_->scopes;
  return scopes == nullptr ? nullptr : FindIn(*scopes, key);
}

const LateFilter* SnapshotPin::FindFilter(absl::string_view key) const {
  return FindIn(snapshot_->routes_->filters, key);
}

WorkerView::WorkerView(Loop* loop, StatSlab* stats, uint64_t seed, Mail mail)
    : loop_(loop),
      dialer_(&SocketDialer()),
      stats_(stats),
      seed_(seed),
      mail_(std::move(mail)),
      random_(seed),
      current_(std::make_unique<InstalledSnapshot>(std::make_shared<const ClusterMap>(),
                                                   std::make_shared<const RouteMap>())) {
  current_->view_ = this;
}

WorkerView::~WorkerView() {
  while (background_ != nullptr) {
    std::unique_ptr<Background> task(background_);
    background_ = task->next_;
  }
  views_.clear();
  removed_.clear();
}

void WorkerView::Adopt(std::unique_ptr<Background> task) {
  Background* raw = task.release();
  raw->next_ = background_;
  if (background_ != nullptr) background_->prev_ = raw;
  background_ = raw;
}

void WorkerView::Dismiss(Background* task) {
  (task->prev_ != nullptr ? task->prev_->next_ : background_) = task->next_;
  if (task->next_ != nullptr) task->next_->prev_ = task->prev_;
  loop_->graveyard().Bury(std::unique_ptr<Background>(task));
}

void WorkerView::Install(std::shared_ptr<const ClusterMap> clusters,
                         std::shared_ptr<const RouteMap> routes) {
  std::unique_ptr<InstalledSnapshot> old = std::move(current_);
  current_ = std::make_unique<InstalledSnapshot>(std::move(clusters), std::move(routes));
  current_->view_ = this;
  ++generation_;
  UpdateViews(old.get());
  if (old->pins_ == 0) {
    SendHome(std::move(old));
  } else {
    pinned_.push_back(std::move(old));
  }
}

void WorkerView::UpdateViews(InstalledSnapshot* old) {
  for (auto it = views_.begin(); it != views_.end();) {
    ClusterView* view = it->second.get();
    const auto found = current_->clusters_->find(it->first);
    if (found == current_->clusters_->end()) {
      view->MarkRemoved();
      removed_.push_back(std::move(it->second));
      views_.erase(it++);
      continue;
    }
    if (found->second.get() != &view->cluster()) {
      old->left_over_.push_back(view->Update(found->second));
    }
    ++it;
  }
  WantSweep();
}

void WorkerView::Unpinned(InstalledSnapshot* snapshot) {
  if (snapshot == current_.get()) return;
  for (auto it = pinned_.begin(); it != pinned_.end(); ++it) {
    if (it->get() != snapshot) continue;
    std::unique_ptr<InstalledSnapshot> home = std::move(*it);
    pinned_.erase(it);
    SendHome(std::move(home));
    return;
  }
}

void WorkerView::SendHome(std::unique_ptr<InstalledSnapshot> snapshot) {
  if (!mail_.retired) return;
  mail_.retired(Mail::Retired{std::move(snapshot->clusters_), std::move(snapshot->routes_),
                              std::move(snapshot->left_over_)});
}

ClusterView* WorkerView::FindCluster(absl::string_view name) {
  if (const auto it = views_.find(name); it != views_.end()) return it->second.get();
  const auto found = current_->clusters_->find(name);
  if (found == current_->clusters_->end()) return nullptr;
  auto view = std::make_unique<ClusterView>(this, found->second);
  return views_.emplace(found->first, std::move(view)).first->second.get();
}

const xds::RouteTable* WorkerView::FindRoutes(absl::string_view name) const {
  const auto it = current_->routes_->tables.find(name);
  return it == current_->routes_->tables.end() ? nullptr : it->second.get();
}

std::shared_ptr<const xds::RouteTable> WorkerView::ShareRoutes(absl::string_view name) const {
  const auto it = current_->routes_->tables.find(name);
  return it == current_->routes_->tables.end() ? nullptr : it->second;
}

size_t WorkerView::connections() const {
  size_t sum = 0;
  for (const auto& [name, view] : views_) sum += view->connections();
  for (const auto& view : removed_) sum += view->connections();
  return sum;
}

void WorkerView::DrainConnections() {
  for (const auto& [name, view] : views_) view->DrainAll();
  for (const auto& view : removed_) view->DrainAll();
}

void WorkerView::SweepViews() {
  for (const auto& [name, view] : views_) view->SweepParting();
  std::vector<std::shared_ptr<const Cluster>> home;
  for (size_t i = 0; i < removed_.size();) {
    ClusterView* view = removed_[i].get();
    view->SweepParting();
    if (view->InUse()) {
      ++i;
      continue;
    }
    home.push_back(view->cluster_);
    removed_[i] = std::move(removed_.back());
    removed_.pop_back();
  }
  if (home.empty() || !mail_.retired) return;
  mail_.retired(Mail::Retired{nullptr, nullptr, std::move(home)});
}

}  // namespace remora::proxy
