// The floor of the side-by-side runs: a pump that moves bytes between a client
// and an upstream and does nothing else. What a proxy costs beyond it is the
// proxy's own work; what it costs itself is the kernel's.
//
//   remora_floor LISTEN_PORT UPSTREAM_PORT      one thread, epoll, loopback
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr size_t kReadBytes = 64 * 1024;

// One side of a pair. `unsent` is what was read for this side and its socket
// would not take yet; the other side is not read meanwhile.
struct Side {
  int fd = -1;
  Side* peer = nullptr;
  std::string unsent;
};

class Pump {
 public:
  Pump(uint16_t port, uint16_t upstream) : upstream_(upstream) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = Loopback(port);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_, 4096) != 0) {
      perror("listen");
      exit(1);
    }
    Watch(listener_, nullptr, EPOLLIN, EPOLL_CTL_ADD);
  }

  [[noreturn]] void Run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        auto* side = static_cast<Side*>(events[i].data.ptr);
        if (side == nullptr) {
          Accept();
        } else if (side->fd >= 0) {
          Move(*side, events[i].events);
        }
      }
      // A pair is freed after the turn: a later event of it may name it still.
      for (Side* side : closed_) delete side;
      closed_.clear();
    }
  }

 private:
  static sockaddr_in Loopback(uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void Watch(int fd, Side* side, uint32_t events, int operation) {
    epoll_event event = {};
    event.events = events;
    event.data.ptr = side;
    epoll_ctl(epoll_, operation, fd, &event);
  }

  void Accept() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const sockaddr_in address = Loopback(upstream_);
      if (connect(up, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
          errno != EINPROGRESS) {
        close(fd);
        close(up);
        continue;
      }
      auto* client = new Side{.fd = fd};
      auto* server = new Side{.fd = up, .peer = client};
      client->peer = server;
      Watch(fd, client, EPOLLIN, EPOLL_CTL_ADD);
      Watch(up, server, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  void Move(Side& side, uint32_t events) {
    if ((events & EPOLLOUT) != 0 && !Flush(side)) return Close(side);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    Side& to = *side.peer;
    if (!to.unsent.empty()) return;
    const ssize_t got = read(side.fd, buffer_.get(), kReadBytes);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return Close(side);
    if (got < 0) return;
    const ssize_t sent = send(to.fd, buffer_.get(), got, MSG_NOSIGNAL);
    if (sent == got) return;
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) return Close(side);
    const ssize_t taken = sent < 0 ? 0 : sent;
    to.unsent.assign(buffer_.get() + taken, got - taken);
    Watch(to.fd, &to, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    Watch(side.fd, &side, 0, EPOLL_CTL_MOD);
  }

  bool Flush(Side& side) {
    if (side.unsent.empty()) return true;
    const ssize_t sent = send(side.fd, side.unsent.data(), side.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    side.unsent.erase(0, sent);
    if (side.unsent.empty()) {
      Watch(side.fd, &side, EPOLLIN, EPOLL_CTL_MOD);
      Watch(side.peer->fd, side.peer, EPOLLIN, EPOLL_CTL_MOD);
    }
    return true;
  }

  void Close(Side& side) {
    for (Side* each : {&side, side.peer}) {
      close(each->fd);
      each->fd = -1;
      closed_.push_back(each);
    }
  }

  const uint16_t upstream_;
  int epoll_;
  int listener_;
  std::unique_ptr<char[]> buffer_ = std::make_unique<char[]>(kReadBytes);
  std::vector<Side*> closed_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: remora_floor LISTEN_PORT UPSTREAM_PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  Pump(atoi(argv[1]), atoi(argv[2])).Run();
}
