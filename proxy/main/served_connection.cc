#include "proxy/main/served_connection.h"

#include <utility>

#include "proxy/main/tls_contexts.h"
#include "proxy/net/tls_transport.h"

namespace remora::proxy {

ServedConnection::ServedConnection(WorkerListener* listener,
                                   std::shared_ptr<const ServedListener> config,
                                   std::unique_ptr<Connection> connection, bool may_hand_off)
    : listener_(listener),
      config_(std::move(config)),
      connection_(std::move(connection)),
      filter_timer_(
          &listener->world().loop->timers(),
          [](void* self) {
            auto* served = static_cast<ServedConnection*>(self);
            served->chain_ == nullptr ? served->OnFilterTimeout() : served->OnTransportTimeout();
          },
          this),
      drain_timer_(
          &listener->world().loop->timers(),
          [](void* self) { static_cast<ServedConnection*>(self)->Close(); }, this),
      start_ns_(listener->world().loop->now_ns()),
      may_hand_off_(may_hand_off) {}

ServedConnection::~ServedConnection() = default;

void ServedConnection::Start() {
  if (config_->config->listener_filters.empty()) {
    ChooseChain();
    return;
  }
  listener_->stats().Add(ListenerStat::kPreCxActive);
  pre_counted_ = true;
  filters_ = std::make_unique<ListenerFilterRun>(config_->config->listener_filters,
                                                 &config_->filter_stats, listener_->world().stats);
  const absl::Duration timeout = config_->config->listener_filters_timeout;
  if (timeout > absl::ZeroDuration()) filter_timer_.Start(absl::ToInt64Nanoseconds(timeout));
  connection_->Start(this);
  // Filters that need no bytes are done at once.
  if (filters_->OnStart(*connection_) == ListenerFilterRun::Result::kDone) ChooseChain();
}

void ServedConnection::OnData(bool eof) {
  // Network filters took what they wanted; a client that ended has nothing more to hear.
  if (chain_ != nullptr) {
    if (eof && http_ == nullptr && tcp_ == nullptr) connection_->CloseAfterFlush(0);
    return;
  }
  switch (filters_->OnData(*connection_)) {
    case ListenerFilterRun::Result::kDone:
      ChooseChain();
      return;
    case ListenerFilterRun::Result::kReject:
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
  if (ended_) return;
  if (chain_ == nullptr) listener_->stats().Add(ListenerStat::kListenerFilterRemoteClose);
  // A session that never began is ended, and logged, like any other.
  if (tcp_ != nullptr) {
    tcp_->Close();
  } else {
    End();
  }
}

void ServedConnection::OnTransportTimeout() {
  Connection& served = connection();
  if (served.closed() || served.info().handshake_done_ns != 0) return;
  listener_->stats().Add(ListenerStat::kCxTransportSocketConnectTimeout);
  served.info().termination_details = "transport socket timeout was reached";
  served.info().local_close_reason = "transport_socket_timeout";
  served.Close();
}

void ServedConnection::Reject() {
  connection_->SetEvents(nullptr);
  connection_->Close();
  End();
}

void ServedConnection::EndFilterPhase() {
  filter_timer_.Stop();
  if (std::exchange(pre_counted_, false)) listener_->stats().Sub(ListenerStat::kPreCxActive);
}

bool ServedConnection::HandOff() {
  if (!may_hand_off_ || filters_ == nullptr || !config_->config->use_original_dst ||
      !filters_->destination_restored()) {
    return false;
  }
  WorkerListener* meant = listener_->world().find_listener(connection_->info().local);
  if (meant == nullptr || meant == listener_) return false;
  // Known to this listener's filters only, and kept by them.
  connection_->info().requested_server_name = {};
  meant->Take(std::move(connection_));
  End();
  return true;
}

void ServedConnection::ChooseChain() {
  EndFilterPhase();
  if (HandOff()) return;
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
    this->info().flags.Add(ResponseFlag::kNoRouteFound);
    this->info().response_code_details = "filter_chain_not_found";
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
  info.filter_chain_metadata = &chain_->config->metadata;
  info.listener_name = config_->config->name;
  info.listener_metadata = &config_->config->metadata;
  const ListenerWorld& world = listener_->world();
  if (chain_->wants_tls) {
    if (chain_->tls == nullptr) {
      // The secrets are not here yet: nothing can be served.
      StatScope<SslFactoryStat>(world.stats->Cells(*chain_->tls_factory))
          .Add(SslFactoryStat::kDownstreamSecretsNotReady);
      info.transport_failure_reason = "TLS_error:_Secret_is_not_supplied_by_SDS";
      Reject();
      return;
    }
    connection_->SetTransport(MakeServerTls(chain_->tls, *world.stats));
  }
  if (chain_->http == nullptr && chain_->tcp == nullptr && chain_->network.empty()) {
    info.local_close_reason = "no_filters";
    Reject();
    return;
  }
  MakeServer();
  if (filters_ != nullptr && filters_->metadata() != nullptr) {
    this->info().dynamic_metadata = filters_->metadata();
  }
  const absl::Duration timeout = chain_->config->transport_connect_timeout;
  if (chain_->wants_tls && timeout > absl::ZeroDuration()) {
    filter_timer_.Start(absl::ToInt64Nanoseconds(timeout));
  }
  if (!chain_->network.empty()) {
    network_ =
        std::make_unique<NetworkChain>(world.http, &connection(), &this->info(), chain_->network);
    if (!network_->Begin()) {
      // A filter closed it or will; the peer may also leave first.
      if (connection().closed()) {
        OnClosed(CloseKind::kLocal, false);
      } else {
        // A TCP session reads nothing before it has begun.
        if (tcp_ != nullptr) connection().PauseReading(Connection::kPausePeer);
        connection().Start(this);
      }
      return;
    }
  }
  BeginServing();
}

// What ends the chain. It counts the connection from here on, whatever the filters will say.
void ServedConnection::MakeServer() {
  const ListenerWorld& world = listener_->world();
  if (chain_->http != nullptr) {
    http_ = std::make_unique<HttpConnection>(world.http, chain_->http, std::move(connection_),
                                             static_cast<HttpConnectionOwner*>(this));
  } else if (chain_->tcp != nullptr) {
    tcp_ = TcpSession::Make(std::move(connection_), chain_->tcp, &world.http->view(), this);
  }
}

void ServedConnection::BeginServing() {
  serving_ = true;
  if (http_ != nullptr) {
    http_->Start(false);
    if (drain_.active) http_->StartDrain();
  } else if (tcp_ != nullptr) {
    tcp_->Begin(network_ == nullptr ? nullptr : &network_->state());
  } else {
    connection_->Start(this);
  }
}

Connection& ServedConnection::connection() {
  if (http_ != nullptr) return http_->connection();
  return tcp_ != nullptr ? tcp_->downstream() : *connection_;
}

StreamInfo& ServedConnection::info() {
  if (tcp_ != nullptr) return tcp_->info();
  if (own_info_ == nullptr) {
    own_info_ = std::make_unique<StreamInfo>();
    own_info_->downstream = &connection().info();
    own_info_->remote = connection().info().remote;
    own_info_->timing.start_ns = start_ns_;
    Loop& loop = *listener_->world().loop;
    own_info_->timing.start_system_ns = loop.system_now_ns() - (loop.now_ns() - start_ns_);
  }
  return *own_info_;
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
  if (http_ != nullptr && serving_) http_->StartDrain();
}

void ServedConnection::AnnounceDrain() {
  // An idle HTTP/1 connection is left alone: closing it could cross a request on its way.
  if (http_ != nullptr && http_->is_http2()) http_->StartDrain();
}

void ServedConnection::Close() {
  if (ended_) return;
  if (!serving_ && chain_ != nullptr) {
    connection().Close();
  } else if (http_ != nullptr) {
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

void ServedConnection::OnHttpConnectionEnded(HttpConnection* /*connection*/) { End(); }

void ServedConnection::OnTcpLog(TcpSession& /*session*/, const StreamInfo& info, LogMoment moment) {
  const ListenerWorld& world = listener_->world();
  chain_->tcp_log.Log(info, moment, world.http->runtime(), world.http->random(),
                      world.http->logs());
}

void ServedConnection::OnTcpSessionEnd(TcpSession& /*session*/) { End(); }

// The listener's own log: one line for each connection.
void ServedConnection::LogConnection() {
  if (config_->access_log.empty()) return;
  const ListenerWorld& world = listener_->world();
  StreamInfo& info = this->info();
  info.timing.end_ns = world.loop->now_ns();
  if (http_ != nullptr) {
    info.protocol = http_->protocol();
    if (http_->broken()) {
      info.flags.Add(ResponseFlag::kDownstreamProtocolError);
      info.protocol = Protocol::kNone;
    }
    info.bytes_received = http_->connection().plain_read();
    info.bytes_sent = http_->connection().plain_written();
  }
  config_->access_log.Log(info, LogMoment::kConnectionEnd, world.http->runtime(),
                          world.http->random(), world.http->logs());
}

void ServedConnection::End() {
  if (ended_) return;
  ended_ = true;
  EndFilterPhase();
  drain_timer_.Stop();
  Loop* loop = listener_->world().loop;
  // One that was handed off goes on elsewhere.
  if (http_ != nullptr || tcp_ != nullptr || connection_ != nullptr) LogConnection();
  if (chain_ != nullptr) {
    listener_->stats().Record(ListenerStat::kCxLengthMs, (loop->now_ns() - start_ns_) / 1000000);
  }
  listener_->Forget(this);
  loop->graveyard().Bury(std::move(http_));
  loop->graveyard().Bury(std::move(tcp_));
  loop->graveyard().Bury(std::move(connection_));
  loop->graveyard().Bury(std::unique_ptr<ServedConnection>(this));
}

}  // namespace remora::proxy
