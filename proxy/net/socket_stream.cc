#include "proxy/net/socket_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <utility>

namespace remora::proxy {
namespace {

// A read offers one block at first and more once that was filled: small messages cost one block,
// bulk moves 64 KiB a call.
constexpr size_t kMostReadVectors = 4;
constexpr size_t kMostWriteVectors = 64;

class SocketStream final : public ByteStream {
 public:
  SocketStream(Loop* loop, int fd, bool connecting)
      : fd_(fd), connecting_(connecting), poll_(new uv_poll_t) {
    uv_poll_init(loop->uv(), poll_, fd);
    poll_->data = this;
  }
  ~SocketStream() override { Close(false); }

  void Attach(ByteStreamEvents* events) override { events_ = events; }

  void Watch(bool readable, bool writable) override {
    if (fd_ < 0) return;
    const int wanted = (readable     ? UV_READABLE
                        : gone_told_ ? 0
                                     : UV_DISCONNECT) |
                       (writable ? UV_WRITABLE : 0);
    if (wanted == watched_) return;
    watched_ = wanted;
    if (wanted == 0) {
      uv_poll_stop(poll_);
    } else {
      uv_poll_start(poll_, wanted, OnPoll);
    }
  }

  bool connecting() const override { return connecting_; }

  int FinishConnect() override {
    connecting_ = false;
    return PendingError();
  }

  int PendingError() override {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    return error;
  }

  IoResult Read(Body& into, size_t wish) override {
    iovec vectors[kMostReadVectors];
    const size_t most = std::min(wish, read_size_);
    const size_t count = into.ReserveIovecs(vectors, kMostReadVectors, most);
    size_t room = 0;
    for (size_t i = 0; i < count; ++i) room += vectors[i].iov_len;
    const ssize_t got = count == 1 ? read(fd_, vectors[0].iov_base, vectors[0].iov_len)
                                   : readv(fd_, vectors, static_cast<int>(count));
    const int error = errno;
    into.CommitIovecs(got > 0 ? static_cast<size_t>(got) : 0);
    IoResult result;
    if (got > 0) {
      result.bytes = static_cast<size_t>(got);
      result.again = result.bytes < room;
      read_size_ = result.again ? 1 : kMostReadVectors * Body::kBlockSize;
    } else if (got == 0) {
      result.eof = true;
      gone_told_ = true;
    } else if (error == EAGAIN || error == EINTR) {
      result.again = true;
    } else {
      result.error = error;
    }
    return result;
  }

  IoResult Write(Body& from) override {
    iovec vectors[kMostWriteVectors];
    const size_t count = from.FillIovecs(vectors, kMostWriteVectors);
    msghdr message = {};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const ssize_t sent = count == 1
                             ? send(fd_, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL)
                             : sendmsg(fd_, &message, MSG_NOSIGNAL);
    IoResult result;
    if (sent >= 0) {
      result.bytes = static_cast<size_t>(sent);
      size_t offered = 0;
      for (size_t i = 0; i < count; ++i) offered += vectors[i].iov_len;
      result.again = result.bytes < offered;
      from.Consume(result.bytes);
    } else if (errno == EAGAIN || errno == EINTR) {
      result.again = true;
    } else {
      result.error = errno;
    }
    return result;
  }

  void ShutdownWrite() override {
    if (fd_ >= 0) shutdown(fd_, SHUT_WR);
  }

  void Close(bool reset) override {
    if (fd_ < 0) return;
    if (reset) {
      const linger now = {1, 0};
      setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    uv_close(reinterpret_cast<uv_handle_t*>(poll_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
    poll_ = nullptr;
    close(fd_);
    fd_ = -1;
  }

  Address local_address() const override { return NameOf(getsockname); }
  Address remote_address() const override { return NameOf(getpeername); }
  int descriptor() const override { return fd_; }

 private:
  static void OnPoll(uv_poll_t* poll, int status, int events) {
    auto* self = static_cast<SocketStream*>(poll->data);
    if (status < 0) {
      // libuv stopped watching a broken descriptor; the next read or write says what happened.
      const int watched = std::exchange(self->watched_, 0);
      if (self->connecting_ || (watched & (UV_WRITABLE | UV_READABLE)) == UV_WRITABLE) {
        self->events_->OnWritable();
      } else if (watched & UV_READABLE) {
        self->events_->OnReadable();
      } else {
        self->gone_told_ = true;
        self->events_->OnPeerGone();
      }
      return;
    }
    if ((events & UV_DISCONNECT) && !self->gone_told_) {
      self->gone_told_ = true;
      self->Watch(false, self->watched_ & UV_WRITABLE);
      self->events_->OnPeerGone();
    }
    // Each call may close the stream.
    if ((events & UV_WRITABLE) && self->fd_ >= 0) self->events_->OnWritable();
    if ((events & UV_READABLE) && self->fd_ >= 0) self->events_->OnReadable();
  }

  template <typename Fn>
  Address NameOf(Fn fn) const {
    sockaddr_storage storage;
    socklen_t size = sizeof(storage);
    if (fn(fd_, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&storage), size);
  }

  int fd_;
  bool connecting_;
  int watched_ = 0;
  bool gone_told_ = false;
  size_t read_size_ = 1;
  uv_poll_t* poll_;
  ByteStreamEvents* events_ = nullptr;
};

void ApplyKeepalive(int fd, const SocketKeepalive& keepalive) {
  if (!keepalive.enabled) return;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  if (keepalive.probes > 0)
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &keepalive.probes, sizeof(int));
  if (keepalive.time_s > 0)
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive.time_s, sizeof(int));
  if (keepalive.interval_s > 0)
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &keepalive.interval_s, sizeof(int));
}

}  // namespace

std::unique_ptr<ByteStream> AdoptSocket(Loop* loop, int fd) {
  return std::make_unique<SocketStream>(loop, fd, false);
}

std::unique_ptr<ByteStream> ConnectSocket(Loop* loop, const Address& to, const Address& bind_to,
                                          const SocketKeepalive& keepalive, int* error,
                                          bool* binding) {
  *error = 0;
  const int fd =
      socket(to.sockaddr_ptr()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *error = errno;
    return nullptr;
  }
  if (to.is_ip()) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ApplyKeepalive(fd, keepalive);
  }
  if (bind_to.kind() != Address::Kind::kNone &&
      bind(fd, bind_to.sockaddr_ptr(), bind_to.sockaddr_size()) != 0) {
    *error = errno;
    if (binding != nullptr) *binding = true;
    close(fd);
    return nullptr;
  }
  if (connect(fd, to.sockaddr_ptr(), to.sockaddr_size()) != 0 && errno != EINPROGRESS) {
    *error = errno;
    close(fd);
    return nullptr;
  }
  return std::make_unique<SocketStream>(loop, fd, true);
}

}  // namespace remora::proxy
