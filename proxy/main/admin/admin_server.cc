#include "proxy/main/admin/admin_server.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/main/admin/admin_router.h"
#include "proxy/main/admin/admin_service.h"
#include "proxy/main/admin/server_view.h"
#include "proxy/net/socket_stream.h"

namespace remora::proxy {
namespace {

constexpr uint32_t kBufferLimit = 1024 * 1024;
constexpr char kListenerPrefix[] = "listener.admin.";

absl::StatusOr<std::shared_ptr<ListenGroup>> Bind(const xds::AdminConfig& config,
                                                  ListenSockets& sockets) {
  const xds::AddressSpec& spec = *config.address;
  const std::optional<Address> address = spec.kind == xds::AddressSpec::Kind::kPipe
                                             ? Address::FromPipe(spec.host)
                                             : Address::FromIp(spec.host, spec.port);
  if (!address)
    return absl::InvalidArgumentError(absl::StrCat("malformed IP address: ", spec.host));
  ListenOptions options;
  options.reuse_port = false;
  options.ipv4_compat = spec.ipv4_compat;
  options.pipe_mode = spec.pipe_mode;
  for (const xds::SocketOption& option : config.socket_options) {
    ListenOptions::Option extra{static_cast<int>(option.level), static_cast<int>(option.name),
                                option.value};
    if (option.state == xds::SocketOption::State::kBound)
      extra.when = ListenOptions::Option::When::kBound;
    if (option.state == xds::SocketOption::State::kListening)
      extra.when = ListenOptions::Option::When::kListening;
    options.extra.push_back(std::move(extra));
  }
  absl::StatusOr<std::shared_ptr<ListenGroup>> group = sockets.Bind(*address, options);
  if (!group.ok()) return group.status();
  const absl::Status listening = (*group)->Listen();
  if (!listening.ok()) return listening;
  return group;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const Input& input) {
  const xds::AdminConfig& config = input.state->bootstrap().admin;
  absl::StatusOr<std::shared_ptr<const xds::HttpConnectionManager>> manager =
      AdminConnectionManager(config);
  if (!manager.ok()) return manager.status();
  HttpServiceInput service_input;
  service_input.config = *std::move(manager);
  service_input.stats = &input.state->stats();
  service_input.log_files = input.log_files;
  service_input.listener_stat_prefix = kListenerPrefix;
  service_input.buffer_limit = kBufferLimit;
  service_input.host_address = input.host_address;
  service_input.node_id = input.state->bootstrap().node.id;
  absl::StatusOr<std::shared_ptr<const HttpService>> service = HttpService::Make(service_input);
  if (!service.ok()) return service.status();
  absl::StatusOr<std::shared_ptr<ListenGroup>> group = Bind(config, *input.sockets);
  if (!group.ok()) return group.status();
  return std::unique_ptr<AdminServer>(
      new AdminServer(input, *std::move(service), *std::move(group)));
}

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(Server* server,
                                                                ListenSockets& sockets) {
  auto view = std::make_unique<ServerView>(server);
  absl::StatusOr<std::unique_ptr<AdminServer>> admin = Start(view->InputFor(sockets));
  if (admin.ok()) (*admin)->view_ = std::move(view);
  return admin;
}

AdminServer::AdminServer(const Input& input, std::shared_ptr<const HttpService> service,
                         std::shared_ptr<ListenGroup> group)
    : http_(input.http),
      pages_(input.state),
      service_(std::move(service)),
      stats_(input.state->stats().MainScope<ListenerStat>(
          input.state->stats().Register(kListenerPrefix, AdminListenerStatSchema()))),
      thread_stats_(
          input.state->stats().MainScope<ListenerWorkerStat>(input.state->stats().Register(
              absl::StrCat(kListenerPrefix, "main_thread."), ListenerWorkerStatSchema()))),
      flush_ns_(absl::ToInt64Nanoseconds(input.state->bootstrap().stats.flush_interval)),
      flush_timer_(
          &input.http->loop().timers(),
          [](void* self) { static_cast<AdminServer*>(self)->OnFlush(); }, this) {
  http_->set_router_maker([this] { return std::make_unique<AdminRouter>(&pages_); });
  acceptor_ = std::make_unique<Acceptor>(
      &http_->loop(), std::move(group), 0, 0,
      [this](int descriptor, const Address& remote) { Accept(descriptor, remote); });
  if (flush_ns_ > 0) flush_timer_.Start(flush_ns_);
}

AdminServer::~AdminServer() {
  acceptor_.reset();
  // Closing one takes it out of the table.
  while (!connections_.empty()) {
    const auto first = connections_.begin();
    std::unique_ptr<HttpConnection> connection = std::move(first->second.connection);
    connections_.erase(first);
    connection.reset();
  }
}

void AdminServer::Accept(int descriptor, const Address& remote) {
  auto connection = std::make_unique<Connection>(
      &http_->loop(), AdoptSocket(&http_->loop(), descriptor), MakeRawTransport(), kBufferLimit);
  ConnectionInfo& info = connection->info();
  info.direct_remote = remote;
  info.remote = remote;
  info.local = connection->stream().local_address();
  stats_.Add(ListenerStat::kCxTotal);
  stats_.Add(ListenerStat::kCxActive);
  thread_stats_.Add(ListenerWorkerStat::kCxTotal);
  thread_stats_.Add(ListenerWorkerStat::kCxActive);
  auto served = std::make_unique<HttpConnection>(http_, service_, std::move(connection), this);
  HttpConnection* started = served.get();
  connections_[started] = {std::move(served), http_->loop().now_ns()};
  started->Start(/*started=*/false);
}

void AdminServer::OnHttpConnectionEnded(HttpConnection* connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  stats_.Add(ListenerStat::kCxDestroy);
  stats_.Sub(ListenerStat::kCxActive);
  stats_.Record(ListenerStat::kCxLengthMs,
                (http_->loop().now_ns() - found->second.start_ns) / 1000000);
  thread_stats_.Sub(ListenerWorkerStat::kCxActive);
  std::unique_ptr<HttpConnection> ended = std::move(found->second.connection);
  connections_.erase(found);
  http_->loop().graveyard().Bury(std::move(ended));
}

void AdminServer::OnFlush() {
  pages_.Flush();
  flush_timer_.Start(flush_ns_);
}

}  // namespace remora::proxy
