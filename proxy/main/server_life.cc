// The end of a server and its main loop; see server.h.

#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/log.h"
#include "proxy/main/admin/admin_server.h"
#include "proxy/main/server.h"
#include "proxy/main/signals.h"
#include "proxy/main/update_stats.h"

namespace remora::proxy {
namespace {

// How long nothing may be under way, and nobody new come, before a drain counts as done: three
// looks.
constexpr int64_t kQuietIntervalMs = 500;
constexpr int kQuietRounds = 3;

}  // namespace

int Server::Run() {
  Signals signals(&loop_, {
                              [this] { draining_ ? Quit() : StartDrain(); },
                              [this] { ReopenLogs(); },
                          });
  discovery_ =
      std::make_unique<DiscoveryWorld>(&loop_, view_.get(), files_.get(), cluster_world_.seed + 1);
  xds::Subscriptions::Hooks hooks;
  hooks.on_event = [this](const xds::UpdateEvent& event) { OnUpdateEvent(event); };
  // Without ADS the names come with the first connection to a control plane.
  const StatBlock* control = stats_.Register("control_plane.", ControlPlaneStatSchema(), true);
  if (bootstrap_->ads.has_value()) stats_.main_slab()->Cells(*control);
  hooks.on_connected = [this, control](bool connected) {
    stats_.MainScope<ControlPlaneStat>(control).Set(ControlPlaneStat::kConnectedState,
                                                    connected ? 1 : 0);
  };
  hooks.on_initialized = [this] { PublishSoon(); };
  hooks.log = [](const std::string& text) { REMORA_LOG(kWarning, "config", text); };
  for (const auto& worker : workers_) worker->Start();
  subscriptions_ = std::make_unique<xds::Subscriptions>(bootstrap_, catalog_.get(),
                                                        discovery_.get(), std::move(hooks),
                                                        options_.reject_unknown_dynamic_fields);
  subscriptions_->Start();
  REMORA_LOG(kInfo, "main", "starting main dispatch loop");
  loop_.Run();
  REMORA_LOG(kInfo, "main", "main dispatch loop exited");
  for (const auto& worker : workers_) worker->Stop();
  for (const auto& worker : workers_) worker->Join();
  // Letters that came home meanwhile are dropped with the mailbox.
  mailbox_.Close();
  logs_->Flush();
  REMORA_LOG(kInfo, "main", "exiting");
  return exit_code_;
}

void Server::StartDrain() {
  REMORA_LOG(kWarning, "main", "asked to leave: draining");
  draining_ = true;
  SetState(ServerState::kDraining);
  server_failing_.store(true, std::memory_order_relaxed);
  PublishSoon();
  Drain drain = ListenerDrain();
  drain.immediate = true;
  for (const auto& worker : workers_) worker->StartDrain(drain);
  drain_deadline_ns_ = loop_.now_ns() + drain.duration_ns;
  quiet_rounds_ = 0;
  CheckQuiet();
}

void Server::CheckQuiet() {
  if (loop_.now_ns() >= drain_deadline_ns_) {
    Quit();
    return;
  }
  loads_due_ = workers_.size();
  load_ = {};
  for (const auto& worker : workers_) {
    worker->ReportLoad(
        [this](WorkerLoad load) { mailbox_.Send([this, load] { OnWorkerLoad(load); }); });
  }
  quiet_timer_.StartMs(kQuietIntervalMs);
}

void Server::OnWorkerLoad(WorkerLoad load) {
  load_.exchanges += load.exchanges;
  load_.accepted += load.accepted;
  if (--loads_due_ > 0) return;
  const bool quiet = load_.exchanges == 0 && load_.accepted == accepted_before_;
  accepted_before_ = load_.accepted;
  quiet_rounds_ = quiet ? quiet_rounds_ + 1 : 0;
  if (quiet_rounds_ >= kQuietRounds) Quit();
}

void Server::Quit() {
  REMORA_LOG(kInfo, "main", "shutting down server instance");
  loop_.Stop();
}

void Server::DrainListeners(bool inbound_only, bool graceful, bool skip_exit) {
  if (graceful || skip_exit) {
    Drain drain = ListenerDrain();
    for (const auto& worker : workers_) worker->StartDrain(drain);
  }
  if (skip_exit) return;
  if (graceful) return;
  for (const auto& worker : workers_) worker->StopListening(inbound_only);
  listeners_->StopListening(inbound_only);
}

void Server::OnUpdateEvent(const xds::UpdateEvent& event) {
  CountUpdate(event, *catalog_, stats_);
  const std::string what = absl::StrCat(std::string(xds::TypeOf(event.resource).short_name),
                                        event.name.empty() ? "" : " ", event.name);
  switch (event.kind) {
    case xds::UpdateEvent::Kind::kRejected:
      REMORA_LOG(kWarning, "config", absl::StrCat(what, " update rejected: ", event.detail));
      break;
    case xds::UpdateEvent::Kind::kFailure:
      // A stream that ends says so itself.
      if (!event.detail.empty()) {
        REMORA_LOG(kWarning, "config", absl::StrCat(what, " update failed: ", event.detail));
      }
      break;
    case xds::UpdateEvent::Kind::kWarning:
      REMORA_LOG(kWarning, "config", absl::StrCat(what, ": ", event.detail));
      break;
    case xds::UpdateEvent::Kind::kFetchTimeout:
      REMORA_LOG(kWarning, "config", absl::StrCat(what, ": initial fetch timed out"));
      break;
    default:
      break;
  }
}

}  // namespace remora::proxy
