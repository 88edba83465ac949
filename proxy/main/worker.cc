#include "proxy/main/worker.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace remora::proxy {

Worker::Worker(WorkerInput input)
    : input_(std::move(input)),
      mailbox_(&loop_),
      logs_(std::make_unique<LogWriter>(&loop_, input_.log_flush_ms, input_.file_stats)),
      view_(std::make_unique<WorkerView>(&loop_, input_.stats, input_.seed, input_.mail)),
      http_(std::make_unique<HttpWorker>(view_.get(), logs_.get())) {
  http_->set_server_failing(input_.failing);
  world_ = {&loop_,
            http_.get(),
            input_.stats,
            input_.index,
            &accepted_,
            &server_drain_,
            [this](const Address& address) { return FindListener(listeners_, address); }};
}

Worker::~Worker() { Join(); }

void Worker::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(),
                     absl::StrCat("wrk:worker_", input_.index).substr(0, 15).c_str());
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::Run() {
  loop_.Run();
  // In the order of dependence: what serves connections, then what they stand on.
  for (const auto& listener : listeners_) listener->CloseAll();
  for (const auto& listener : removed_) listener->CloseAll();
  loop_.graveyard().Empty();
  loop_.RunOnce(false);
  listeners_.clear();
  removed_.clear();
  loop_.graveyard().Empty();
  mailbox_.Close();
  http_.reset();
  view_.reset();
  loop_.graveyard().Empty();
  logs_->Flush();
  logs_.reset();
  if (published_ != nullptr) input_.retired(std::move(published_));
}

void Worker::Install(std::shared_ptr<const Published> published, Drain listener_drain) {
  mailbox_.Send([this, published = std::move(published), listener_drain]() mutable {
    DoInstall(std::move(published), listener_drain);
  });
}

void Worker::DoInstall(std::shared_ptr<const Published> published, const Drain& drain) {
  view_->Install(published->clusters, published->routes);
  http_->set_runtime(published->runtime);
  UpdateListeners(*published, drain);
  std::swap(published_, published);
  // The last reference must fall on main, where its objects were made.
  if (published != nullptr) input_.retired(std::move(published));
}

void Worker::UpdateListeners(const Published& published, const Drain& drain) {
  Drain now = drain;
  now.start_ns = loop_.now_ns();
  std::vector<std::unique_ptr<WorkerListener>> next;
  for (const std::shared_ptr<const ServedListener>& listener : published.listeners) {
    const auto known = std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& entry) {
      return entry != nullptr && entry->id() == listener->id;
    });
    if (known == listeners_.end()) {
      next.push_back(std::make_unique<WorkerListener>(&world_, listener));
      continue;
    }
    if (&(*known)->listener() != listener.get()) (*known)->Update(listener, now);
    next.push_back(std::move(*known));
  }
  for (std::unique_ptr<WorkerListener>& gone : listeners_) {
    if (gone == nullptr) continue;
    gone->Remove(now);
    removed_.push_back(std::move(gone));
  }
  listeners_ = std::move(next);
  DropEnded();
}

void Worker::DropEnded() {
  removed_.erase(std::remove_if(removed_.begin(), removed_.end(),
                                [](const auto& listener) { return listener->connections() == 0; }),
                 removed_.end());
}

void Worker::StartDrain(Drain drain) {
  mailbox_.Send([this, drain]() mutable {
    drain.start_ns = loop_.now_ns();
    server_drain_ = drain;
    for (const auto& listener : listeners_) listener->AnnounceDrain();
  });
}

void Worker::StopListening(bool inbound_only) {
  mailbox_.Send([this, inbound_only] {
    for (const auto& listener : listeners_) {
      const bool inbound =
          listener->listener().config->direction == xds::Listener::Direction::kInbound;
      if (!inbound_only || inbound) listener->StopAccepting();
    }
  });
}

WorkerLoad Worker::Load() const {
  WorkerLoad load;
  for (const auto* list : {&listeners_, &removed_}) {
    for (const auto& listener : *list) {
      load.connections += listener->connections();
      load.exchanges += listener->open_exchanges();
    }
  }
  load.accepted = accepted_;
  return load;
}

void Worker::ReportLoad(std::function<void(WorkerLoad)> answer) {
  mailbox_.Send([this, answer = std::move(answer)] {
    DropEnded();
    answer(Load());
  });
}

void Worker::ReopenLogs() {
  // Main opened the files anew; what is buffered goes to the new ones.
  mailbox_.Send([this] { logs_->Flush(); });
}

void Worker::Stop() {
  mailbox_.Send([this] { loop_.Stop(); });
}

}  // namespace remora::proxy
