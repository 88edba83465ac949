#ifndef REMORA_PROXY_NET_ACCEPTOR_H_
#define REMORA_PROXY_NET_ACCEPTOR_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "filters/api/address.h"
#include "proxy/base/loop.h"
#include "proxy/base/timer.h"
#include "proxy/net/listen_sockets.h"

struct uv_poll_s;

namespace remora::proxy {

// Accepts on one worker's socket of a listen group. When descriptors run out it pauses for a moment
// instead of spinning; connections wait in the kernel's queue meanwhile.
//
// Threads: the loop's. Lifetime: keeps its group; destroying it stops accepting, the socket stays
// with the group.
class Acceptor {
 public:
  // Takes over the descriptor. `remote` is the peer's address.
  using OnAccept = std::function<void(int descriptor, const Address& remote)>;

  // `most_per_turn`: connections accepted in one go; 0 for as many as wait (64 at most).
  Acceptor(Loop* loop, std::shared_ptr<ListenGroup> group, size_t index, uint32_t most_per_turn,
           OnAccept on_accept);
  ~Acceptor();

  const ListenGroup& group() const { return *group_; }
  void Pause();
  void Resume();

 private:
  void AcceptSome();
  void Watch(bool on);

  Loop* loop_;
  std::shared_ptr<ListenGroup> group_;
  int descriptor_;
  // uv allows one watcher a descriptor and loop; the group's is shared, so this is a duplicate.
  uv_poll_s* poll_;
  uint32_t most_per_turn_;
  OnAccept on_accept_;
  Timer retry_;
  bool paused_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_ACCEPTOR_H_
