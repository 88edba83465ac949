#include "proxy/main/discovery_world.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "filters/api/arena.h"
#include "proxy/base/timer.h"
#include "proxy/grpc/client.h"
#include "proxy/stream/side_calls.h"

namespace remora::proxy {
namespace {

class GrpcCall final : public xds::AdsWorld::Call, private GrpcStreamEvents {
 public:
  GrpcCall(WorkerView& view, const xds::GrpcService& service, absl::string_view method,
           xds::AdsWorld::CallEvents* events)
      : events_(events) {
    GrpcCallOptions options;
    options.method = std::string(method);
    options.authority = service.authority;
    options.metadata = service.initial_metadata;
    options.max_message_bytes = service.max_receive_message_length;
    stream_ = OpenGrpcStream(view, service.cluster, options, this);
  }

  void Send(std::string message) override { stream_->Send(message); }

 private:
  void OnGrpcMessage(Body& message) override {
    const absl::string_view bytes = message.Linearize(message.size());
    events_->OnCallMessage(bytes);
  }
  void OnGrpcClosed(const GrpcStatus& status, const Headers*) override {
    events_->OnCallEnd(absl::Status(static_cast<absl::StatusCode>(status.code), status.message));
  }

  xds::AdsWorld::CallEvents* events_;
  std::unique_ptr<GrpcStream> stream_;
};

class LoopTimer final : public xds::AdsWorld::TimerHandle {
 public:
  LoopTimer(Loop* loop, std::chrono::nanoseconds delay, std::function<void()> fire)
      : fire_(std::move(fire)),
        timer_(
            &loop->timers(),
            [](void* self) {
              // The callback may destroy this timer.
              const std::function<void()> fire = std::move(static_cast<LoopTimer*>(self)->fire_);
              fire();
            },
            this) {
    timer_.Start(delay.count());
  }

 private:
  std::function<void()> fire_;
  Timer timer_;
};

class PathWatch final : public xds::SubscriptionWorld::Watch {
 public:
  explicit PathWatch(std::unique_ptr<FileWatcher::Watch> watch) : watch_(std::move(watch)) {}

 private:
  std::unique_ptr<FileWatcher::Watch> watch_;
};

class RestCall final : public xds::AdsWorld::TimerHandle {
 public:
  RestCall(WorkerView& view, const xds::ApiConfigSource& source, absl::string_view path,
           const std::string& json, xds::SubscriptionWorld::PostDone done) {
    const std::string& cluster = source.cluster_names.front();
    Headers* headers = arena_.New<Headers>(&arena_);
    headers->set_pseudo_static(HeaderId::kMethod, "POST");
    headers->set_pseudo(HeaderId::kAuthority, cluster);
    headers->set_pseudo(HeaderId::kPath, path);
    headers->set_pseudo_static(HeaderId::kScheme, "http");
    headers->Set(HeaderId::kContentType, "application/json");
    headers->Set(HeaderId::kContentLength, absl::StrCat(json.size()));
    Body body;
    body.Append(json);
    HttpCall call;
    call.cluster = cluster;
    call.headers = headers;
    call.body = &body;
    call.timeout_ms = absl::ToInt64Milliseconds(source.request_timeout);
    call.max_answer_bytes = kMostBytes;
    call_ = StartHttpCall(view, call, [done = std::move(done)](const HttpAnswer& answer) {
      // The callback may drop this call.
      const xds::SubscriptionWorld::PostDone told = done;
      const bool answered = answer.end == HttpCallEnd::kAnswered;
      const std::string text(answered ? answer.body : absl::string_view());
      told(answered ? answer.headers->status() : 0, text);
    });
  }

 private:
  // Of one answer; a larger world is for a stream.
  static constexpr uint64_t kMostBytes = 256 * 1024 * 1024;
  Arena arena_;
  std::unique_ptr<SideCall> call_;
};

}  // namespace

DiscoveryWorld::DiscoveryWorld(Loop* loop, WorkerView* view, FileWatcher* files, uint64_t seed)
    : loop_(loop), view_(view), files_(files), random_(seed) {}

std::unique_ptr<xds::AdsWorld::Call> DiscoveryWorld::Open(size_t, absl::string_view, CallEvents*) {
  // Every stream of the subscriptions names its servers and comes by OpenAt().
  return nullptr;
}

std::unique_ptr<xds::AdsWorld::Call> DiscoveryWorld::OpenAt(const xds::ApiConfigSource& source,
                                                            size_t server, absl::string_view method,
                                                            CallEvents* events) {
  if (server >= source.grpc_services.size()) return nullptr;
  return std::make_unique<GrpcCall>(*view_, source.grpc_services[server], method, events);
}

std::unique_ptr<xds::AdsWorld::TimerHandle> DiscoveryWorld::After(std::chrono::nanoseconds delay,
                                                                  std::function<void()> fire) {
  return std::make_unique<LoopTimer>(loop_, delay, std::move(fire));
}

std::unique_ptr<xds::AdsWorld::TimerHandle> DiscoveryWorld::Post(const xds::ApiConfigSource& source,
                                                                 absl::string_view path,
                                                                 std::string body, PostDone done) {
  return std::make_unique<RestCall>(*view_, source, path, body, std::move(done));
}

std::unique_ptr<xds::SubscriptionWorld::Watch> DiscoveryWorld::WatchFile(
    const std::string& path, const std::string& directory, std::function<void()> changed) {
  return std::make_unique<PathWatch>(files_->Add(path, directory, std::move(changed)));
}

}  // namespace remora::proxy
