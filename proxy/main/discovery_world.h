#ifndef REMORA_PROXY_MAIN_DISCOVERY_WORLD_H_
#define REMORA_PROXY_MAIN_DISCOVERY_WORLD_H_

#include <memory>
#include <string>

#include "lb/random_source.h"
#include "proxy/base/loop.h"
#include "proxy/main/file_watch.h"
#include "proxy/upstream/worker_view.h"
#include "xds/subscriptions.h"

namespace remora::proxy {

// What xds/ needs of the process, on the main loop: discovery calls are calls of our own gRPC
// client over main's view of the clusters, so TLS, failover and statistics towards a control plane
// are those of traffic.
//
// Threads: main. Lifetime: outlives the subscriptions; `view` and `files` outlive it.
class DiscoveryWorld final : public xds::SubscriptionWorld {
 public:
  DiscoveryWorld(Loop* loop, WorkerView* view, FileWatcher* files, uint64_t seed);

  std::unique_ptr<Call> Open(size_t server, absl::string_view method, CallEvents* events) override;
  std::unique_ptr<Call> OpenAt(const xds::ApiConfigSource& source, size_t server,
                               absl::string_view method, CallEvents* events) override;
  std::unique_ptr<TimerHandle> After(std::chrono::nanoseconds delay,
                                     std::function<void()> fire) override;
  std::unique_ptr<Watch> WatchFile(const std::string& path, const std::string& directory,
                                   std::function<void()> changed) override;
  std::unique_ptr<TimerHandle> Post(const xds::ApiConfigSource& source, absl::string_view path,
                                    std::string body, PostDone done) override;
  lb::RandomSource& random() override { return random_; }
  int64_t WallClockMs() override { return loop_->system_now_ns() / 1000000; }

 private:
  Loop* loop_;
  WorkerView* view_;
  FileWatcher* files_;
  lb::RandomSource random_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_DISCOVERY_WORLD_H_
