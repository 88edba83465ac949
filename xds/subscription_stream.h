#ifndef REMORA_XDS_SUBSCRIPTION_STREAM_H_
#define REMORA_XDS_SUBSCRIPTION_STREAM_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "xds/subscriptions.h"

namespace remora::xds {

// One discovery stream with its protocol state.
struct Subscriptions::Stream {
  // Puts the stream's servers in place of the bootstrap's.
  class Servers final : public AdsWorld {
   public:
    Servers(SubscriptionWorld* world, ApiConfigSource source)
        : world_(world), source_(std::move(source)) {}
    std::unique_ptr<Call> Open(size_t server, absl::string_view method,
                               CallEvents* events) override {
      return world_->OpenAt(source_, server, method, events);
    }
    std::unique_ptr<TimerHandle> After(std::chrono::nanoseconds delay,
                                       std::function<void()> fire) override {
      return world_->After(delay, std::move(fire));
    }
    lb::RandomSource& random() override { return world_->random(); }

   private:
    SubscriptionWorld* world_;
    ApiConfigSource source_;
  };

  Stream(SubscriptionWorld* world, const ApiConfigSource& source, AdsSession::Options options)
      : servers(world, source), session(std::move(options)) {}

  Servers servers;
  AdsSession session;
  std::unique_ptr<AdsStream> stream;
  // What this stream brings: names by kind; none for CDS and LDS, which come as a whole.
  std::map<ResourceKind, std::set<std::string>> kinds;
};

// A file that is read again whenever it changes.
struct Subscriptions::File {
  ResourceKind kind;
  std::string name;  // empty: all of the kind
  std::string path;
  std::unique_ptr<SubscriptionWorld::Watch> watch;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_SUBSCRIPTION_STREAM_H_
