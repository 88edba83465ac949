#ifndef REMORA_PROXY_NET_TRANSPORT_H_
#define REMORA_PROXY_NET_TRANSPORT_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/stream_info.h"

namespace remora::proxy {

// Plug point: what lies between the wire and the user: nothing, or TLS. Knows no socket: bytes in,
// bytes out.
//
// Threads: its connection's loop.
class Transport {
 public:
  enum class Result { kOk, kEof, kFailed };

  virtual ~Transport() = default;

  // True when wire and plain text are the same: the connection then skips the calls below.
  virtual bool is_raw() const = 0;
  // The connection stands; a TLS client writes its first flight into `wire_out`.
  virtual Result Start(Body& wire_out) = 0;
  // Takes all of `wire_in`; plain text is appended to `plain`, what must be answered to `wire_out`.
  // kEof: the peer said that it will send no more (close_notify). `wire_eof`: the wire ended.
  virtual Result Receive(Body& wire_in, bool wire_eof, Body& plain, Body& wire_out) = 0;
  // Takes all of `plain` once the handshake is over (before that it takes nothing).
  virtual Result Send(Body& plain, Body& wire_out) = 0;
  // Says that nothing more will be sent.
  virtual void CloseSending(Body& wire_out) = 0;

  virtual bool handshake_done() const = 0;
  // Null without TLS or before the handshake ended.
  virtual const TlsFacts* facts() const = 0;
  // Negotiated by ALPN; "" without.
  virtual absl::string_view alpn() const = 0;
  // Why it failed, as %…_TRANSPORT_FAILURE_REASON% prints it; "" while all is well.
  virtual absl::string_view failure_reason() const = 0;
};

// Passes everything through.
std::unique_ptr<Transport> MakeRawTransport();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TRANSPORT_H_
