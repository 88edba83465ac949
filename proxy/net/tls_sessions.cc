#include "proxy/net/tls_sessions.h"

#include <openssl/ssl.h>

namespace remora::proxy {

TlsSessions& TlsSessions::Local() {
  thread_local TlsSessions sessions;
  return sessions;
}

void TlsSessions::Keep(uint64_t context, absl::string_view name, uint32_t most,
                       bssl::UniquePtr<SSL_SESSION> session) {
  Key key(context, std::string(name));
  auto found = by_peer_.find(key);
  if (found == by_peer_.end()) {
    if (by_peer_.size() >= kMostPeers) {
      by_peer_.erase(order_.front());
      order_.pop_front();
    }
    order_.push_back(key);
    found = by_peer_.try_emplace(std::move(key)).first;
  }
  auto& kept = found->second;
  kept.push_front(std::move(session));
  while (kept.size() > most) kept.pop_back();
}

bssl::UniquePtr<SSL_SESSION> TlsSessions::Take(uint64_t context, absl::string_view name) {
  const auto found = by_peer_.find(Key(context, std::string(name)));
  if (found == by_peer_.end() || found->second.empty()) return nullptr;
  auto& kept = found->second;
  if (SSL_SESSION_should_be_single_use(kept.front().get())) {
    bssl::UniquePtr<SSL_SESSION> session = std::move(kept.front());
    kept.pop_front();
    return session;
  }
  return bssl::UpRef(kept.front());
}

}  // namespace remora::proxy
