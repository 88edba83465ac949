#include "xds/control/server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "xds/control/listening.h"

namespace remora::control {
namespace {

constexpr char kOwnKey[] = "control.key";
constexpr char kOwnCertificate[] = "control.crt";
constexpr absl::Duration kOwnTtl = absl::Hours(24 * 30);
constexpr unsigned kOwnReloadSeconds = 10;

std::shared_ptr<grpc::ServerCredentials> OwnCredentials(const StateDir& state) {
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          state.PathOf(kOwnKey), state.PathOf(kOwnCertificate), kOwnReloadSeconds));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return grpc::experimental::TlsServerCredentials(options);
}

void Configure(grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 128);
  // Dead peers are noticed; proxies may ping as often as they like to.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

}  // namespace

// Something to do on the loop, told it by an alarm that goes off at once.
struct Server::Letter {
  grpc::Alarm bell;
  std::function<void()> task;
};

Server::Server(const ServerOptions& options, const StateDir& state, const CertificateAuthority* ca)
    : state_(state), ca_(ca), tokens_(state), cache_(ca, options.certificate_ttl) {}

Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Listen(const ServerOptions& options,
                                                       const StateDir& state,
                                                       const CertificateAuthority* ca) {
  std::unique_ptr<Server> server(new Server(options, state, ca));
  absl::Status opened = server->RenewOwnCertificate(absl::Now());
  if (opened.ok()) opened = server->Open(options.listen);
  if (!opened.ok()) return opened;
  return server;
}

absl::Status Server::Open(const std::vector<std::string>& listen) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  Configure(&builder);
  std::vector<int> ports(listen.size(), 0);
  for (size_t i = 0; i < listen.size(); ++i) {
    absl::Status possible = CheckListen(listen[i]);
    if (!possible.ok()) return possible;
    const bool local = absl::StartsWith(listen[i], "unix:");
    builder.AddListeningPort(
        listen[i], local ? grpc::InsecureServerCredentials() : OwnCredentials(state_), &ports[i]);
  }
  builder.RegisterAsyncGenericService(&service_);
  queue_ = builder.AddCompletionQueue();
  {
    // The socket is there for its owner alone from its first moment on.
    const mode_t before = umask(0177);
    const absl::Cleanup restore = [before] { umask(before); };
    server_ = builder.BuildAndStart();
  }
  if (server_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", absl::StrJoin(listen, ", ")));
  }
  for (size_t i = 0; i < listen.size(); ++i) {
    const size_t colon = listen[i].rfind(':');
    addresses_.push_back(absl::StartsWith(listen[i], "unix:")
                             ? listen[i]
                             : absl::StrCat(listen[i].substr(0, colon), ":", ports[i]));
  }
  return state_.Write("listen", absl::StrJoin(addresses_, "\n") + "\n");
}

absl::Status Server::RenewOwnCertificate(absl::Time now) {
  // The key stays, so that the two files always belong together.
  absl::StatusOr<std::string> key = state_.Read(kOwnKey);
  if (!key.ok() && !absl::IsNotFound(key.status())) return key.status();
  absl::StatusOr<Certificate> own =
      ca_->Issue(ca_->ControlId(), "remora-control", now, kOwnTtl,
                 {"localhost", ca_->ControlName()}, key.ok() ? *key : "");
  if (!own.ok()) return own.status();
  renew_own_at_ = now + kOwnTtl / 2;
  absl::Status written = state_.Write(kOwnKey, own->private_key);
  if (written.ok()) written = state_.Write(kOwnCertificate, own->chain);
  return written;
}

void Server::Run() {
  WakeAt(renew_own_at_);
  while (true) {
    void* tag = nullptr;
    bool ok = false;
    const auto status = queue_->AsyncNext(&tag, &ok,
                                          wake_at_ == absl::InfiniteFuture()
                                              ? std::chrono::system_clock::time_point::max()
                                              : absl::ToChronoTime(wake_at_));
    if (status == grpc::CompletionQueue::SHUTDOWN) break;
    if (status == grpc::CompletionQueue::GOT_EVENT) {
      (*static_cast<Completion*>(tag))(ok);
    }
    const absl::Time now = absl::Now();
    if (now >= wake_at_) Tick(now);
    for (Stream* gone : leaving_) {
      std::erase_if(streams_, [gone](const auto& s) { return s.get() == gone; });
    }
    leaving_.clear();
  }
  closer_.join();
}

void Server::Accept() {
  if (stopping_) return;
  streams_.push_back(std::make_unique<Stream>(this, &service_, queue_.get()));
}

void Server::Leave(Stream* stream) {
  if (stream->node().has_value()) {
    spdlog::info("{} disconnected", stream->node()->name);
  }
  leaving_.push_back(stream);
}

bool Server::KnowsToken(absl::string_view name, absl::string_view token) const {
  return tokens_.Verify(name, token);
}

std::shared_ptr<const NodeResources> Server::ResourcesOf(const NodeId& node, absl::Time now) {
  std::shared_ptr<const NodeResources> resources = cache_.Get(node, now);
  WakeAt(cache_.NextTick());
  return resources;
}

void Server::WakeAt(absl::Time when) { wake_at_ = std::min(wake_at_, when); }

void Server::Tick(absl::Time now) {
  wake_at_ = absl::InfiniteFuture();
  if (now >= renew_own_at_) {
    const absl::Status renewed = RenewOwnCertificate(now);
    if (!renewed.ok()) {
      spdlog::error("own certificate: {}", renewed.ToString());
      renew_own_at_ = now + absl::Minutes(1);
    }
  }
  if (cache_.Tick(now)) {
    TellAll(now);
  } else {
    for (auto& stream : streams_) stream->Advance(now);
  }
  WakeAt(renew_own_at_);
  WakeAt(cache_.NextTick());
  for (const auto& stream : streams_) WakeAt(stream->NextCheck());
}

void Server::TellAll(absl::Time now) {
  for (auto& stream : streams_) {
    if (!stream->node().has_value()) continue;
    stream->SetResources(cache_.Get(*stream->node(), now));
    stream->Advance(now);
  }
  WakeAt(cache_.NextTick());
}

void Server::Post(std::function<void()> task) {
  auto letter = std::make_unique<Letter>();
  letter->task = std::move(task);
  std::lock_guard lock(door_);
  if (closed_) return;
  letter->bell.Set(queue_.get(), std::chrono::system_clock::now(), &open_next_);
  posted_.push_back(std::move(letter));
}

// Every bell rings once, if only because it is taken away; whose bell it was does not matter.
void Server::OpenNext() {
  std::unique_ptr<Letter> letter;
  {
    std::lock_guard lock(door_);
    letter = std::move(posted_.front());
    posted_.pop_front();
  }
  letter->task();
}

void Server::Publish(Services services) {
  Post([this, services = std::move(services)]() mutable {
    const absl::Time now = absl::Now();
    cache_.SetServices(std::move(services), now);
    TellAll(now);
    if (!std::exchange(accepting_, true)) Accept();
  });
}

void Server::Stop() {
  Post([this] { CloseDown(); });
}

void Server::CloseDown() {
  if (stopping_) return;
  stopping_ = true;
  for (auto& stream : streams_) {
    stream->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the control plane is leaving"));
  }
  // Shutdown waits for the calls, which need this loop to end.
  closer_ = std::thread([this] {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    std::lock_guard lock(door_);
    closed_ = true;
    queue_->Shutdown();
  });
}

}  // namespace remora::control
