#include "proxy/net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <utility>

namespace remora::proxy {
namespace {

constexpr uint32_t kMostPerTurn = 64;
constexpr int64_t kRetryMs = 50;

}  // namespace

Acceptor::Acceptor(Loop* loop, std::shared_ptr<ListenGroup> group, size_t index,
                   uint32_t most_per_turn, OnAccept on_accept)
    : loop_(loop),
      group_(std::move(group)),
      descriptor_(fcntl(group_->descriptor(index), F_DUPFD_CLOEXEC, 0)),
      poll_(new uv_poll_t),
      most_per_turn_(most_per_turn == 0 ? kMostPerTurn : most_per_turn),
      on_accept_(std::move(on_accept)),
      retry_(&loop->timers(), [](void* self) { static_cast<Acceptor*>(self)->Watch(true); }, this) {
  uv_poll_init(loop_->uv(), poll_, descriptor_);
  poll_->data = this;
  Watch(true);
}

Acceptor::~Acceptor() {
  uv_close(reinterpret_cast<uv_handle_t*>(poll_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  close(descriptor_);
}

void Acceptor::Watch(bool on) {
  if (!on || paused_) {
    uv_poll_stop(poll_);
    return;
  }
  uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
    static_cast<Acceptor*>(poll->data)->AcceptSome();
  });
}

void Acceptor::Pause() {
  paused_ = true;
  Watch(false);
}

void Acceptor::Resume() {
  paused_ = false;
  Watch(true);
}

void Acceptor::AcceptSome() {
  for (uint32_t i = 0; i < most_per_turn_ && !paused_; ++i) {
    sockaddr_storage storage;
    socklen_t size = sizeof(storage);
    const int fd = accept4(descriptor_, reinterpret_cast<sockaddr*>(&storage), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        Watch(false);
        retry_.StartMs(kRetryMs);
      }
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    const Address remote = Address::FromSockaddr(reinterpret_cast<sockaddr*>(&storage), size);
    if (remote.is_ip()) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    on_accept_(fd, remote);
  }
}

}  // namespace remora::proxy
