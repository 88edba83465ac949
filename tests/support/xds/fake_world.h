#ifndef REMORA_TESTS_SUPPORT_XDS_FAKE_WORLD_H_
#define REMORA_TESTS_SUPPORT_XDS_FAKE_WORLD_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/subscriptions.h"

namespace remora::xds {

// A world of calls, timers and files that does only what the test says, when it says it.
class FakeWorld final : public SubscriptionWorld {
 public:
  struct FakeCall final : public Call {
    FakeCall(FakeWorld* world, std::string method, std::string server, CallEvents* events)
        : world(world), method(std::move(method)), server(std::move(server)), events(events) {}
    ~FakeCall() override { world->calls_.remove(this); }
    void Send(std::string message) override { sent.push_back(std::move(message)); }

    // What was sent since the last look, as requests of either spelling.
    std::vector<envoy::service::discovery::v3::DiscoveryRequest> TakeSotw() {
      return Take<envoy::service::discovery::v3::DiscoveryRequest>();
    }
    std::vector<envoy::service::discovery::v3::DeltaDiscoveryRequest> TakeDelta() {
      return Take<envoy::service::discovery::v3::DeltaDiscoveryRequest>();
    }
    void Answer(const google::protobuf::Message& message) {
      events->OnCallMessage(message.SerializeAsString());
    }
    void Answer(ResourceKind kind, const std::string& version, const std::string& nonce,
                const std::vector<std::string>& resources) {
      envoy::service::discovery::v3::DiscoveryResponse response;
      response.set_type_url(std::string(TypeOf(kind).type_url));
      response.set_version_info(version);
      response.set_nonce(nonce);
      for (const std::string& bytes : resources) {
        auto* any = response.add_resources();
        any->set_type_url(std::string(TypeOf(kind).type_url));
        any->set_value(bytes);
      }
      Answer(response);
    }
    void End() { events->OnCallEnd(absl::UnavailableError("gone")); }

    FakeWorld* world;
    std::string method;
    std::string server;
    CallEvents* events;
    std::vector<std::string> sent;

   private:
    template <typename Message>
    std::vector<Message> Take() {
      std::vector<Message> out;
      for (const std::string& bytes : std::exchange(sent, {}))
        out.emplace_back().ParseFromString(bytes);
      return out;
    }
  };

  std::unique_ptr<Call> Open(size_t, absl::string_view, CallEvents*) override { return nullptr; }
  std::unique_ptr<Call> OpenAt(const ApiConfigSource& source, size_t server,
                               absl::string_view method, CallEvents* events) override {
    if (server >= source.grpc_services.size()) return nullptr;
    auto call = std::make_unique<FakeCall>(this, std::string(method),
                                           source.grpc_services[server].cluster, events);
    calls_.push_back(call.get());
    ++opened;
    return call;
  }
  std::unique_ptr<TimerHandle> After(std::chrono::nanoseconds delay,
                                     std::function<void()> fire) override {
    auto timer = std::make_unique<FakeTimer>(this, now_ + delay, std::move(fire));
    timers_.push_back(timer.get());
    return timer;
  }
  std::unique_ptr<Watch> WatchFile(const std::string& path, const std::string& directory,
                                   std::function<void()> changed) override {
    auto watch = std::make_unique<FakeWatch>(this, path, directory, std::move(changed));
    watches_.push_back(watch.get());
    return watch;
  }
  // A POST under way, until it is answered or dropped.
  struct FakePost final : public TimerHandle {
    FakePost(FakeWorld* world, std::string path, std::string body, PostDone done)
        : world(world), path(std::move(path)), body(std::move(body)), done(std::move(done)) {}
    ~FakePost() override { world->posts_.remove(this); }
    void Answer(int status, const std::string& text) {
      const PostDone call = done;
      call(status, text);
    }
    FakeWorld* world;
    std::string path;
    std::string body;
    PostDone done;
  };
  std::unique_ptr<TimerHandle> Post(const ApiConfigSource&, absl::string_view path,
                                    std::string body, PostDone done) override {
    auto post =
        std::make_unique<FakePost>(this, std::string(path), std::move(body), std::move(done));
    posts_.push_back(post.get());
    ++posted;
    return post;
  }
  FakePost* post(const std::string& path) {
    for (FakePost* post : posts_) {
      if (post->path == path) return post;
    }
    return nullptr;
  }
  lb::RandomSource& random() override { return random_; }
  int64_t WallClockMs() override { return 1700000000000 + now_.count() / 1000000; }

  // Lets time pass; timers fire in their order, those they start included.
  void Advance(std::chrono::nanoseconds by) {
    const std::chrono::nanoseconds until = now_ + by;
    for (;;) {
      FakeTimer* next = nullptr;
      for (FakeTimer* timer : timers_) {
        if (timer->at <= until && (next == nullptr || timer->at < next->at)) next = timer;
      }
      if (next == nullptr) break;
      now_ = next->at;
      timers_.remove(next);
      next->world = nullptr;
      // The callback may destroy its timer.
      const std::function<void()> fire = std::move(next->fire);
      fire();
    }
    now_ = until;
  }
  // The only call under way to a method that holds `part`; null when there is none.
  FakeCall* Find(const std::string& part) {
    for (FakeCall* call : calls_) {
      if (call->method.find(part) != std::string::npos) return call;
    }
    return nullptr;
  }
  FakeCall* ads() { return Find("Aggregated"); }
  // A file was moved or written.
  void Touch(const std::string& path) {
    for (FakeWatch* watch : std::list<FakeWatch*>(watches_)) {
      // What one hears may end another.
      const bool lives = std::find(watches_.begin(), watches_.end(), watch) != watches_.end();
      if (!lives || watch->path != path) continue;
      const std::function<void()> changed = watch->changed;
      changed();
    }
  }
  size_t watches() const { return watches_.size(); }
  size_t timers() const { return timers_.size(); }

  int opened = 0;
  int posted = 0;

 private:
  struct FakeTimer final : public TimerHandle {
    FakeTimer(FakeWorld* world, std::chrono::nanoseconds at, std::function<void()> fire)
        : world(world), at(at), fire(std::move(fire)) {}
    ~FakeTimer() override {
      if (world != nullptr) world->timers_.remove(this);
    }
    FakeWorld* world;
    std::chrono::nanoseconds at;
    std::function<void()> fire;
  };
  struct FakeWatch final : public Watch {
    FakeWatch(FakeWorld* world, std::string path, std::string directory,
              std::function<void()> changed)
        : world(world),
          path(std::move(path)),
          directory(std::move(directory)),
          changed(std::move(changed)) {}
    ~FakeWatch() override { world->watches_.remove(this); }
    FakeWorld* world;
    std::string path;
    std::string directory;
    std::function<void()> changed;
  };

  lb::RandomSource random_{7};
  std::chrono::nanoseconds now_{0};
  std::list<FakeCall*> calls_;
  std::list<FakePost*> posts_;
  std::list<FakeTimer*> timers_;
  std::list<FakeWatch*> watches_;
};

}  // namespace remora::xds

#endif  // REMORA_TESTS_SUPPORT_XDS_FAKE_WORLD_H_
