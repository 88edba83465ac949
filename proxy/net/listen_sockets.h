#ifndef REMORA_PROXY_NET_LISTEN_SOCKETS_H_
#define REMORA_PROXY_NET_LISTEN_SOCKETS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "filters/api/address.h"

namespace remora::proxy {

struct ListenOptions {
  bool reuse_port = true;
  bool transparent = false;
  bool freebind = false;
  bool ipv4_compat = false;  // an IPv6 wildcard that also takes IPv4
  int backlog = 0;           // 0: the system's default
  uint32_t pipe_mode = 0;    // 0: as umask says
  int fast_open_queue = -1;  // -1: off
  struct Option {
    int level;
    int name;
    std::string value;
    enum class When { kPreBind, kBound, kListening } when = When::kPreBind;
  };
  std::vector<Option> extra;
};

// The bound sockets of one address, one for each worker (the same one for all where the address
// cannot be shared by SO_REUSEPORT).
class ListenGroup {
 public:
  ~ListenGroup();
  ListenGroup(const ListenGroup&) = delete;
  ListenGroup& operator=(const ListenGroup&) = delete;

  // As bound: a port of 0 has become a real one.
  const Address& address() const { return address_; }
  // The socket that worker `index` accepts on. Owned by the group.
  int descriptor(size_t index) const { return descriptors_[index % descriptors_.size()]; }
  // Starts to listen; until then the address is reserved only. Idempotent.
  absl::Status Listen();
  // Refuses new connections from now on; the address stays reserved.
  void StopListening();
  // As StopListening(), until somebody wants to Listen() again: no listener has the address now.
  void Close();

 private:
  friend class ListenSockets;
  ListenGroup() = default;

  Address address_;
  ListenOptions options_;
  std::vector<int> descriptors_;
  bool listening_ = false;
  std::string unlink_path_;
};

// Main owns every listening socket and keeps it across listener updates: closing a reuseport socket
// would reset the connections that wait in its queue.
//
// Threads: main; workers use descriptors of groups they hold.
class ListenSockets {
 public:
  explicit ListenSockets(size_t workers) : workers_(workers) {}

  // The group for an address, made or (while somebody holds it) found. Errors as Envoy words them.
  absl::StatusOr<std::shared_ptr<ListenGroup>> Bind(const Address& address,
                                                    const ListenOptions& options);

 private:
  size_t workers_;
  absl::flat_hash_map<std::string, std::weak_ptr<ListenGroup>> groups_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_LISTEN_SOCKETS_H_
