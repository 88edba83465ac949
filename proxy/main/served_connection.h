#ifndef REMORA_PROXY_MAIN_SERVED_CONNECTION_H_
#define REMORA_PROXY_MAIN_SERVED_CONNECTION_H_

#include <memory>

#include "proxy/base/timer.h"
#include "proxy/main/drain.h"
#include "proxy/main/worker_listener.h"
#include "proxy/net/connection.h"
#include "proxy/net/listener_filters.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/network_filter.h"
#include "proxy/stream/tcp_proxy.h"

namespace remora::proxy {

// One accepted connection from accept to end: first its listener filters, then its network filters
// and what serves it.
//
// Threads: the loop's. Lifetime: linked into its listener; buries itself when the connection is
// over.
class ServedConnection final : public Mortal,
                               private ConnectionEvents,
                               private HttpConnectionOwner,
                               private TcpSessionOwner {
 public:
  // `may_hand_off`: the listener with the address that the client meant may take over.
  ServedConnection(WorkerListener* listener, std::shared_ptr<const ServedListener> config,
                   std::unique_ptr<Connection> connection, bool may_hand_off);
  ~ServedConnection() override;

  void Start();
  // Asks the peer to go; at the end of the drain time everything is closed.
  void StartDrain(const Drain& drain);
  void AnnounceDrain();
  void Close();

  // Null until the chain was chosen.
  const ServedChain* chain() const { return chain_.get(); }
  size_t open_exchanges() const;

 private:
  friend class WorkerListener;
  // ConnectionEvents, while listener filters run, while network filters keep what serves it from
  // beginning, and where network filters alone serve.
  void OnConnected() override {}
  void OnData(bool eof) override;
  void OnOutputBlocked() override {}
  void OnOutputDrained() override {}
  void OnClosed(CloseKind kind, bool reset) override;
  // HttpConnectionOwner
  void OnHttpConnectionEnded(HttpConnection* connection) override;
  bool ShouldDrain() override;
  // TcpSessionOwner
  void OnTcpLog(TcpSession& session, const StreamInfo& info, LogMoment moment) override;
  void OnTcpSessionEnd(TcpSession& session) override;

  void OnFilterTimeout();
  void EndFilterPhase();
  void ChooseChain();
  // Whether another listener took the connection over.
  bool HandOff();
  void Dispatch();
  void MakeServer();
  void BeginServing();
  void OnTransportTimeout();
  void Reject();
  void LogConnection();
  void End();

  Connection& connection();
  // What logs and network filters know of the connection; the TCP session's where there is one.
  StreamInfo& info();

  WorkerListener* listener_;
  std::shared_ptr<const ServedListener> config_;
  std::shared_ptr<const ServedChain> chain_;
  std::unique_ptr<Connection> connection_;  // until it is handed on
  std::unique_ptr<ListenerFilterRun> filters_;
  std::unique_ptr<StreamInfo> own_info_;  // see info()
  std::unique_ptr<NetworkChain> network_;
  std::unique_ptr<HttpConnection> http_;
  std::unique_ptr<TcpSession> tcp_;
  Timer filter_timer_;  // of the listener filters, then of the handshake
  Timer drain_timer_;
  Drain drain_;
  int64_t start_ns_;
  bool may_hand_off_;
  bool pre_counted_ = false;
  bool serving_ = false;  // what serves it has begun
  bool ended_ = false;
  ServedConnection* prev_ = nullptr;
  ServedConnection* next_ = nullptr;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_SERVED_CONNECTION_H_
