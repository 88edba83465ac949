#include "proxy/net/listen_sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

absl::Status BindError(const Address& address, int error) {
  return absl::UnavailableError(
      absl::StrCat("cannot bind '", address.ToString(), "': ", strerror(error)));
}

bool SetOption(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

absl::Status Apply(int fd, const ListenOptions& options, ListenOptions::Option::When when) {
  for (const ListenOptions::Option& option : options.extra) {
    if (option.when != when) continue;
    if (setsockopt(fd, option.level, option.name, option.value.data(),
                   static_cast<socklen_t>(option.value.size())) != 0) {
      return absl::InternalError(absl::StrCat("cannot set socket option ", option.level, "/",
                                              option.name, ": ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

absl::Status Prepare(int fd, const Address& address, const ListenOptions& options) {
  if (address.is_ip()) {
    SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reuse_port) SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (options.freebind) SetOption(fd, IPPROTO_IP, IP_FREEBIND, 1);
    if (options.transparent && !SetOption(fd, IPPROTO_IP, IP_TRANSPARENT, 1)) {
      return absl::PermissionDeniedError(absl::StrCat("IP_TRANSPARENT: ", strerror(errno)));
    }
  }
  if (address.kind() == Address::Kind::kIpv6) {
    SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv4_compat ? 0 : 1);
  }
  return Apply(fd, options, ListenOptions::Option::When::kPreBind);
}

absl::StatusOr<int> BindOne(const Address& address, const ListenOptions& options) {
  const int fd =
      socket(address.sockaddr_ptr()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return BindError(address, errno);
  absl::Status status = Prepare(fd, address, options);
  if (status.ok() && bind(fd, address.sockaddr_ptr(), address.sockaddr_size()) != 0) {
    status = BindError(address, errno);
  }
  if (status.ok()) status = Apply(fd, options, ListenOptions::Option::When::kBound);
  if (!status.ok()) {
    close(fd);
    return status;
  }
  return fd;
}

Address BoundAddress(int fd) {
  sockaddr_storage storage;
  socklen_t size = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&storage), size);
}

// Different sockets of one address need the same way of sharing it.
std::string Key(const Address& address, const ListenOptions& options) {
  return absl::StrCat(address.ToString(), options.reuse_port ? "|r" : "|s",
                      options.transparent ? "t" : "", options.freebind ? "f" : "",
                      options.ipv4_compat ? "c" : "");
}

}  // namespace

ListenGroup::~ListenGroup() {
  for (int fd : descriptors_) close(fd);
  if (!unlink_path_.empty()) unlink(unlink_path_.c_str());
}

absl::Status ListenGroup::Listen() {
  if (listening_) return absl::OkStatus();
  for (int fd : descriptors_) {
    if (options_.fast_open_queue >= 0)
      SetOption(fd, IPPROTO_TCP, TCP_FASTOPEN, options_.fast_open_queue);
    if (listen(fd, options_.backlog > 0 ? options_.backlog : SOMAXCONN) != 0)
      return BindError(address_, errno);
    absl::Status status = Apply(fd, options_, ListenOptions::Option::When::kListening);
    if (!status.ok()) return status;
  }
  listening_ = true;
  return absl::OkStatus();
}

void ListenGroup::StopListening() {
  for (int fd : descriptors_) shutdown(fd, SHUT_RD);
}

void ListenGroup::Close() {
  StopListening();
  listening_ = false;
}

absl::StatusOr<std::shared_ptr<ListenGroup>> ListenSockets::Bind(const Address& address,
                                                                 const ListenOptions& options) {
  const std::string key = Key(address, options);
  // A port of 0 asks for a new one each time.
  const bool shareable = address.kind() == Address::Kind::kPipe || address.port() != 0;
  if (shareable) {
    const auto found = groups_.find(key);
    if (found != groups_.end()) {
      if (std::shared_ptr<ListenGroup> group = found->second.lock()) return group;
    }
  }
  std::shared_ptr<ListenGroup> group(new ListenGroup);
  group->options_ = options;
  const bool pipe = address.kind() == Address::Kind::kPipe;
  const std::string path = pipe ? address.ToString() : std::string();
  const bool named = pipe && path[0] != '@';
  if (named) unlink(path.c_str());
  absl::StatusOr<int> first = BindOne(address, options);
  if (!first.ok()) return first.status();
  group->descriptors_.push_back(*first);
  group->address_ = pipe ? address : BoundAddress(*first);
  if (named) {
    group->unlink_path_ = path;
    if (options.pipe_mode != 0 && chmod(path.c_str(), options.pipe_mode) != 0)
      return BindError(address, errno);
  }
  const size_t count = !pipe && options.reuse_port ? std::max<size_t>(1, workers_) : 1;
  while (group->descriptors_.size() < count) {
    absl::StatusOr<int> more = BindOne(group->address_, options);
    if (!more.ok()) return more.status();
    group->descriptors_.push_back(*more);
  }
  if (shareable) groups_[key] = group;
  return group;
}

}  // namespace remora::proxy
