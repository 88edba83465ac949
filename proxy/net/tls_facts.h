#ifndef REMORA_PROXY_NET_TLS_FACTS_H_
#define REMORA_PROXY_NET_TLS_FACTS_H_

#include "filters/api/stream_info.h"
#include "proxy/net/tls_context.h"

struct ssl_st;

namespace remora::proxy {

// What a handshake settled, or had settled when it failed. Any thread.
TlsFacts FactsOfHandshake(ssl_st* ssl, const LocalNames& local, bool peer_validated);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TLS_FACTS_H_
