#ifndef REMORA_PROXY_NET_SOCKET_STREAM_H_
#define REMORA_PROXY_NET_SOCKET_STREAM_H_

#include <memory>
#include <string>

#include "filters/api/address.h"
#include "proxy/base/loop.h"
#include "proxy/net/byte_stream.h"

namespace remora::proxy {

// TCP keep-alive of a connection; zero: the operating system's value.
struct SocketKeepalive {
  bool enabled = false;
  int probes = 0;
  int time_s = 0;
  int interval_s = 0;
};

// A ByteStream over an accepted, non-blocking socket, which it owns from here on.
std::unique_ptr<ByteStream> AdoptSocket(Loop* loop, int fd);

// Starts to connect. Null when the system refuses to even try; `*error` then holds the errno.
// `bind_to`: the local end, or an empty address; `*binding` (may be null) is set when it was that
// which failed.
std::unique_ptr<ByteStream> ConnectSocket(Loop* loop, const Address& to, const Address& bind_to,
                                          const SocketKeepalive& keepalive, int* error,
                                          bool* binding = nullptr);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_SOCKET_STREAM_H_
