#include "proxy/main/dns.h"

#include <ares.h>
#include <netdb.h>
#include <uv.h>

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace remora::proxy {

// One descriptor of c-ares watched by the loop; freed by uv's close callback.
struct DnsResolver::Socket {
  uv_poll_t poll;
  DnsResolver* resolver;
  int fd;
};

// Shared by the handle that the caller holds and by c-ares, which cannot cancel a single look-up:
// when the handle goes first, `callback` is dropped and the answer finds nobody.
class DnsResolver::Query {
 public:
  Query(DnsResolver* resolver, std::string name, Family family, Callback callback)
      : resolver_(resolver),
        name_(std::move(name)),
        family_(family),
        callback_(std::move(callback)),
        timer_(
            &resolver->loop_->timers(), [](void* self) { static_cast<Query*>(self)->Deliver(); },
            this) {}

  class Handle;

  void Abandon() {
    callback_ = nullptr;
    timer_.Stop();
    if (!asking_) delete this;
  }

  void DeliverSoon(DnsAnswer answer) {
    answer_ = std::move(answer);
    timer_.Start(0);
  }

  int FirstFamily() const {
    switch (family_) {
      case Family::kV4Only:
      case Family::kV4Preferred:
        return AF_INET;
      case Family::kAll:
        return AF_UNSPEC;
      default:
        return AF_INET6;
    }
  }

  int SecondFamily() const {
    if (family_ == Family::kAuto) return AF_INET;
    if (family_ == Family::kV4Preferred) return AF_INET6;
    return -1;
  }

  DnsResolver* resolver_;
  std::string name_;
  Family family_;
  Callback callback_;
  Timer timer_;
  DnsAnswer answer_;
  bool asking_ = false;
  bool second_ = false;
  Handle* handle_ = nullptr;

 private:
  void Deliver();
};

class DnsResolver::Query::Handle final : public DnsQuery {
 public:
  explicit Handle(Query* query) : query_(query) { query->handle_ = this; }
  ~Handle() override {
    if (query_ == nullptr) return;
    query_->handle_ = nullptr;
    query_->Abandon();
  }
  void Release() { query_ = nullptr; }

 private:
  Query* query_;
};

void DnsResolver::Query::Deliver() {
  if (handle_ != nullptr) handle_->Release();
  Callback callback = std::move(callback_);
  DnsAnswer answer = std::move(answer_);
  delete this;
  if (callback) callback(std::move(answer));
}

DnsResolver::DnsResolver(Loop* loop)
    : loop_(loop),
      timer_(
          &loop->timers(), [](void* self) { static_cast<DnsResolver*>(self)->OnTimer(); }, this) {}

absl::StatusOr<std::unique_ptr<DnsResolver>> DnsResolver::Create(
    Loop* loop, const std::vector<std::string>& servers, bool use_tcp) {
  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  if (library != ARES_SUCCESS) return absl::InternalError("c-ares cannot be initialised");
  std::unique_ptr<DnsResolver> resolver(new DnsResolver(loop));
  ares_options options = {};
  options.sock_state_cb = [](void* self, ares_socket_t fd, int r, int w) {
    OnSocketState(self, fd, r, w);
  };
  options.sock_state_cb_data = resolver.get();
  options.timeout = 2000;
  options.tries = 3;
  options.flags = use_tcp ? ARES_FLAG_USEVC : 0;
  const int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS;
  const int status = ares_init_options(&resolver->channel_, &options, mask);
  if (status != ARES_SUCCESS)
    return absl::InternalError(absl::StrCat("c-ares: ", ares_strerror(status)));
  if (!servers.empty()) {
    const std::string list = absl::StrJoin(servers, ",");
    const int set = ares_set_servers_ports_csv(resolver->channel_, list.c_str());
    if (set != ARES_SUCCESS) {
      return absl::InvalidArgumentError(
          absl::StrCat("DNS servers ", list, ": ", ares_strerror(set)));
    }
  }
  return resolver;
}

DnsResolver::~DnsResolver() {
  if (channel_ != nullptr) ares_destroy(channel_);
}

std::unique_ptr<DnsQuery> DnsResolver::Resolve(absl::string_view name, Family family,
                                               Callback callback) {
  auto* query = new Query(this, std::string(name), family, std::move(callback));
  auto handle = std::make_unique<Query::Handle>(query);
  if (std::optional<Address> literal = Address::FromIp(name, 0)) {
    query->DeliverSoon({absl::OkStatus(), {*literal}, std::chrono::seconds(0)});
  } else {
    Start(query, query->FirstFamily());
  }
  return handle;
}

void DnsResolver::Start(Query* query, int family) {
  ares_addrinfo_hints hints = {};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = ARES_AI_NOSORT;
  query->asking_ = true;
  ares_getaddrinfo(channel_, query->name_.c_str(), nullptr, &hints, OnAnswer, query);
  ArmTimer();
}

void DnsResolver::OnAnswer(void* arg, int status, int /*timeouts*/, ares_addrinfo* result) {
  auto* query = static_cast<Query*>(arg);
  query->asking_ = false;
  DnsAnswer answer;
  int ttl = INT32_MAX;
  if (status == ARES_SUCCESS && result != nullptr) {
    for (const ares_addrinfo_node* node = result->nodes; node != nullptr; node = node->ai_next) {
      answer.addresses.push_back(Address::FromSockaddr(node->ai_addr, node->ai_addrlen));
      ttl = std::min(ttl, node->ai_ttl);
    }
    answer.ttl = std::chrono::seconds(answer.addresses.empty() ? 0 : ttl);
  }
  if (result != nullptr) ares_freeaddrinfo(result);
  if (status == ARES_EDESTRUCTION || query->handle_ == nullptr) {
    if (query->handle_ != nullptr) query->handle_->Release();
    delete query;
    return;
  }
  if (answer.addresses.empty() && query->SecondFamily() >= 0 && !query->second_) {
    query->second_ = true;
    query->resolver_->Start(query, query->SecondFamily());
    return;
  }
  const bool no_records = status == ARES_ENODATA || status == ARES_ENOTFOUND;
  if (status != ARES_SUCCESS && !no_records) {
    answer.status = absl::UnavailableError(absl::StrCat(query->name_, ": ", ares_strerror(status)));
  }
  query->DeliverSoon(std::move(answer));
}

void DnsResolver::OnSocketState(void* arg, int fd, int readable, int writable) {
  auto* self = static_cast<DnsResolver*>(arg);
  auto found = self->sockets_.find(fd);
  if (!readable && !writable) {
    if (found == self->sockets_.end()) return;
    Socket* socket = found->second;
    self->sockets_.erase(found);
    uv_poll_stop(&socket->poll);
    uv_close(reinterpret_cast<uv_handle_t*>(&socket->poll),
             [](uv_handle_t* handle) { delete static_cast<Socket*>(handle->data); });
    return;
  }
  if (found == self->sockets_.end()) {
    auto* socket = new Socket{{}, self, fd};
    uv_poll_init(self->loop_->uv(), &socket->poll, fd);
    socket->poll.data = socket;
    found = self->sockets_.emplace(fd, socket).first;
  }
  const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  uv_poll_start(&found->second->poll, events, [](uv_poll_t* poll, int status, int ready) {
    auto* socket = static_cast<Socket*>(poll->data);
    DnsResolver* resolver = socket->resolver;
    const int fd = socket->fd;
    const bool failed = status < 0;
    ares_process_fd(resolver->channel_, failed || (ready & UV_READABLE) ? fd : ARES_SOCKET_BAD,
                    failed || (ready & UV_WRITABLE) ? fd : ARES_SOCKET_BAD);
    resolver->ArmTimer();
  });
}

void DnsResolver::ArmTimer() {
  timeval left;
  const timeval* next = ares_timeout(channel_, nullptr, &left);
  if (next == nullptr) {
    timer_.Stop();
    return;
  }
  timer_.StartMs(next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
}

void DnsResolver::OnTimer() {
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  ArmTimer();
}

}  // namespace remora::proxy
