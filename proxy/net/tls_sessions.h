#ifndef REMORA_PROXY_NET_TLS_SESSIONS_H_
#define REMORA_PROXY_NET_TLS_SESSIONS_H_

#include <openssl/base.h>

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace remora::proxy {

// TLS sessions of upstream peers that may be resumed, by context and server name. A context made
// anew (other trust, other certificate) has another id: nothing is resumed across such a change.
//
// Threads: each has its own, so nothing is locked.
class TlsSessions {
 public:
  static TlsSessions& Local();

  void Keep(uint64_t context, absl::string_view name, uint32_t most,
            bssl::UniquePtr<SSL_SESSION> session);
  // The newest, or null. One that may be used once only is given away.
  bssl::UniquePtr<SSL_SESSION> Take(uint64_t context, absl::string_view name);

  size_t size() const { return by_peer_.size(); }

 private:
  // Entries of contexts that are gone leave when this many peers are known.
  static constexpr size_t kMostPeers = 4096;
  using Key = std::pair<uint64_t, std::string>;
  absl::flat_hash_map<Key, std::deque<bssl::UniquePtr<SSL_SESSION>>> by_peer_;
  std::deque<Key> order_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TLS_SESSIONS_H_
