#include "proxy/main/admin/server_view.h"

#include "proxy/main/local_address.h"
#include "proxy/main/server.h"

namespace remora::proxy {

AdminServer::Input AdminServer::ServerView::InputFor(ListenSockets& sockets) {
  Input input;
  input.state = this;
  input.http = &server_->http();
  input.log_files = &server_->log_files();
  input.sockets = &sockets;
  input.host_address = LocalAddress(server_->options().prefer_ipv6);
  return input;
}

StatStore& AdminServer::ServerView::stats() { return server_->stats(); }
void AdminServer::ServerView::RefreshGauges() { server_->RefreshGauges(); }
const Options& AdminServer::ServerView::options() { return server_->options(); }
const xds::Bootstrap& AdminServer::ServerView::bootstrap() { return server_->bootstrap(); }
const xds::Catalog& AdminServer::ServerView::catalog() { return server_->catalog(); }
ServerState AdminServer::ServerView::state() { return server_->state(); }
int64_t AdminServer::ServerView::start_ms() { return server_->start_ms(); }
int64_t AdminServer::ServerView::now_s() { return server_->loop().system_now_ns() / 1000000000; }
int64_t AdminServer::ServerView::uptime_s() { return now_s() - start_ms() / 1000; }
std::shared_ptr<const Runtime> AdminServer::ServerView::runtime() { return server_->runtime(); }
void AdminServer::ServerView::SetHealthCheckFailing(bool failing) {
  server_->SetHealthCheckFailing(failing);
}
void AdminServer::ServerView::Quit() { server_->Quit(); }
void AdminServer::ServerView::ReopenLogs() { server_->ReopenLogs(); }

void AdminServer::ServerView::DrainListeners(bool inbound_only, bool graceful, bool skip_exit) {
  server_->DrainListeners(inbound_only, graceful, skip_exit);
}

std::vector<AdminCluster> AdminServer::ServerView::clusters() {
  std::vector<AdminCluster> out;
  for (const auto& [name, live] : server_->clusters().all()) {
    if (live->current() == nullptr) continue;
    AdminCluster shown{live->current(), live->resource().added_via_api, std::nullopt};
    if (live->outlier() != nullptr) {
      const health::OutlierDetector& detector = live->outlier()->detector();
      shown.outlier = {detector.success_rates(), detector.local_origin_success_rates()};
    }
    out.push_back(std::move(shown));
  }
  return out;
}

std::vector<AdminListener> AdminServer::ServerView::listeners() {
  std::vector<AdminListener> out;
  for (const auto& served : server_->listeners().served()) {
    AdminListener shown{served->config->name, {}};
    for (const auto& group : served->sockets) shown.addresses.push_back(group->address());
    out.push_back(std::move(shown));
  }
  return out;
}

std::vector<xds::ListenerResource> AdminServer::ServerView::draining_listeners() {
  return server_->listeners().draining();
}

std::vector<ContextCertificates> AdminServer::ServerView::certificates() {
  std::vector<ContextCertificates> out;
  for (const auto& context : server_->tls().servers()) out.push_back(context->certificates());
  for (const auto& context : server_->tls().clients()) out.push_back(context->certificates());
  return out;
}

absl::Status AdminServer::ServerView::ModifyRuntime(
    const std::vector<std::pair<std::string, std::string>>& values) {
  return server_->OverrideRuntime(values);
}

}  // namespace remora::proxy
