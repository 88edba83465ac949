#include "proxy/main/served_connection.h"

#include <utility>

#include "proxy/net/tls_transport.h"

namespace remora::proxy {

ServedConnection::ServedConnection(WorkerListener* listener,
                                   std::shared_ptr<const ServedListener> config,
                                   std::unique_ptr<Connection> connection)
    : listener_(listener),
      config_(std::move(config)),
      connection_(std::move(connection)),
      filter_timer_(
          &listener->world().loop->timers(),
          [](void* self) { static_cast<ServedConnection*>(self)->OnFilterTimeout(); }, this),
      drain_timer_(
          &listener->world().loop->timers(),
          [](void* self) { static_cast<ServedConnection*>(self)->Close(); }, this),
      start_ns_(listener->world().loop->now_ns()) {}

ServedConnection::~ServedConnection() = default;

void ServedConnection::Start() {
  if (config_->config->listener_filters.empty()) {
    ChooseChain();
    return;
  }
  listener_->stats().Add(ListenerStat::kPreCxActive);
  pre_counted_ = true;
  filters_ = std::make_unique<ListenerFilterRun>(config_->config->listener_filters);
  const absl::Duration timeout = config_->config->listener_filters_timeout;
  if (timeout > absl::ZeroDuration()) filter_timer_.Start(absl::ToInt64Nanoseconds(timeout));
  connection_->Start(this);
  // Filters that need no bytes are done at once.
  if (filters_->OnStart(*connection_) == ListenerFilterRun::Result::kDone) ChooseChain();
}

void ServedConnection::OnData(bool eof) {
  switch (filters_->OnData(*connection_)) {
    case ListenerFilterRun::Result::kDone:
      ChooseChain();
      return;
    case ListenerFilterRun::Result::kReject:
      listener_->stats().Add(ListenerStat::kListenerFilterError);
      Reject();
      return;
    case ListenerFilterRun::Result::kNeedMore:
      break;
  }
  if (!eof) return;
  listener_->stats().Add(ListenerStat::kListenerFilterRemoteClose);
  Reject();
}

void ServedConnection::OnFilterTimeout() {
  listener_->stats().Add(ListenerStat::kPreCxTimeout);
  if (config_->config->continue_on_listener_filters_timeout) {
    ChooseChain();
    return;
  }
  Reject();
}

void ServedConnection::OnClosed(CloseKind /*kind*/, bool /*reset*/) {
  if (!ended_) listener_->stats().Add(ListenerStat::kListenerFilterRemoteClose);
  End();
}

void ServedConnection::Reject() {
  connection_->SetEvents(this);
  if (!connection_->closed()) {
    ended_ = true;
    connection_->Close();
    ended_ = false;
  }
  End();
}

void ServedConnection::EndFilterPhase() {
  filter_timer_.Stop();
  if (std::exchange(pre_counted_, false)) listener_->stats().Sub(ListenerStat::kPreCxActive);
}

void ServedConnection::ChooseChain() {
  EndFilterPhase();
  const ConnectionInfo& info = connection_->info();
  xds::ConnectionFacts facts;
  facts.destination = info.local;
  facts.server_name = info.requested_server_name;
  facts.direct_source = info.direct_remote;
  facts.source = info.remote;
  if (filters_ != nullptr) {
    facts.transport_protocol = filters_->transport_protocol();
    facts.application_protocols = filters_->application_protocols();
  }
  // The listener's newest state decides, whatever it was when the connection was accepted.
  config_ = listener_->listener_;
  const xds::FilterChain* chosen = config_->config->Match(facts);
  const auto found = chosen == nullptr ? config_->chains.end() : config_->chains.find(chosen);
  if (found == config_->chains.end()) {
    listener_->stats().Add(ListenerStat::kNoFilterChainMatch);
    Reject();
    return;
  }
  chain_ = found->second;
  listener_->CountConnection();
  Dispatch();
}

void ServedConnection::Dispatch() {
  ConnectionInfo& info = connection_->info();
  info.filter_chain_name = chain_->config->name;
  const ListenerWorld& world = listener_->world();
  if (chain_->wants_tls) {
    if (chain_->tls == nullptr) {
      // The secrets are not here yet: nothing can be served.
      Reject();
      return;
    }
    connection_->SetTransport(MakeServerTls(chain_->tls, *world.stats));
  }
  if (chain_->http != nullptr) {
    http_ = std::make_unique<HttpConnection>(world.http, chain_->http, std::move(connection_),
                                             static_cast<HttpConnectionOwner*>(this));
    http_->Start(false);
    if (drain_.active) http_->StartDrain();
    return;
  }
  tcp_ = TcpSession::Start(std::move(connection_), false, chain_->tcp, &world.http->view(), this);
}

bool ServedConnection::ShouldDrain() {
  const ListenerWorld& world = listener_->world();
  const int64_t now = world.loop->now_ns();
  // A server whose health check fails on purpose wants its clients to leave (unless the listener
  // drains on changes alone).
  if (world.http->server_failing() &&
      config_->config->drain_type == xds::Listener::DrainType::kDefault)
    return true;
  return drain_.Asks(now, world.http->random()) ||
         world.server_drain->Asks(now, world.http->random());
}

void ServedConnection::StartDrain(const Drain& drain) {
  if (drain_.active) return;
  drain_ = drain;
  drain_timer_.Start(drain.duration_ns);
  if (http_ != nullptr) http_->StartDrain();
}

void ServedConnection::AnnounceDrain() {
  // An idle HTTP/1 connection is left alone: closing it could cross a request on its way.
  if (http_ != nullptr && http_->is_http2()) http_->StartDrain();
}

void ServedConnection::Close() {
  if (ended_) return;
  if (http_ != nullptr) {
    http_->Close();
  } else if (tcp_ != nullptr) {
    tcp_->Close();
  } else {
    Reject();
  }
}

size_t ServedConnection::open_exchanges() const {
  if (http_ != nullptr) return http_->open_streams();
  return tcp_ != nullptr ? 1 : 0;
}

void ServedConnection::OnHttpConnectionEnded(HttpConnection* /*connection*/) {
  listener_->world().loop->graveyard().Bury(std::move(http_));
  End();
}

void ServedConnection::OnTcpLog(TcpSession& session, const StreamInfo& info) {
  const ListenerWorld& world = listener_->world();
  const LogMoment moment =
      session.info().timing.end_ns != 0 ? LogMoment::kTcpConnectionEnd : LogMoment::kTcpPeriodic;
  chain_->tcp_log.Log(info, moment, world.http->runtime(), world.http->random(),
                      world.http->logs());
}

void ServedConnection::OnTcpSessionEnd(TcpSession& /*session*/) {
  listener_->world().loop->graveyard().Bury(std::move(tcp_));
  End();
}

void ServedConnection::End() {
  if (ended_) return;
  ended_ = true;
  EndFilterPhase();
  drain_timer_.Stop();
  Loop* loop = listener_->world().loop;
  listener_->stats().Record(ListenerStat::kCxLengthMs, (loop->now_ns() - start_ns_) / 1000000);
  listener_->Forget(this);
  if (connection_ != nullptr) loop->graveyard().Bury(std::move(connection_));
  loop->graveyard().Bury(std::unique_ptr<ServedConnection>(this));
}

}  // namespace remora::proxy
