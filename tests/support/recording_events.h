#ifndef REMORA_TESTS_SUPPORT_RECORDING_EVENTS_H_
#define REMORA_TESTS_SUPPORT_RECORDING_EVENTS_H_

#include <memory>
#include <string>
#include <utility>

#include "proxy/net/connection.h"

namespace remora::testing {

// The user of a connection in tests: takes everything that arrives and notes what happened.
class RecordingEvents : public proxy::ConnectionEvents {
 public:
  void OnConnected() override { ++connected; }
  void OnData(bool eof) override {
    ++deliveries;
    eof_seen = eof_seen || eof;
    if (!take) return;
    received += connection->input().ToString();
    connection->input().Clear();
    if (echo && !received.empty()) {
      connection->output().Append(received);
      received.clear();
      connection->Flush();
    }
    if (eof && close_on_eof) connection->CloseAfterFlush(0);
  }
  void OnOutputBlocked() override { ++blocked; }
  void OnOutputDrained() override { ++drained; }
  void OnOutputEmpty() override { ++emptied; }
  void OnPeerGone() override { ++peer_gone; }
  void OnClosed(proxy::CloseKind kind, bool by_reset) override {
    closed = true;
    close_kind = kind;
    reset = by_reset;
    reason = std::string(connection->info().transport_failure_reason);
  }

  void Send(const std::string& bytes) {
    connection->output().Append(bytes);
    connection->Flush();
  }

  std::unique_ptr<proxy::Connection> connection;
  bool take = true;
  bool echo = false;
  bool close_on_eof = false;
  std::string received;
  int connected = 0;
  int deliveries = 0;
  int blocked = 0;
  int drained = 0;
  int emptied = 0;
  int peer_gone = 0;
  bool eof_seen = false;
  bool closed = false;
  proxy::CloseKind close_kind = proxy::CloseKind::kLocal;
  bool reset = false;
  std::string reason;
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_RECORDING_EVENTS_H_
