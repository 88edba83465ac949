#ifndef REMORA_XDS_SUBSCRIPTIONS_H_
#define REMORA_XDS_SUBSCRIPTIONS_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "xds/ads_session.h"
#include "xds/ads_stream.h"
#include "xds/bootstrap.h"
#include "xds/catalog.h"
#include "xds/rest_poller.h"

namespace remora::xds {

// What the subscriptions need besides calls and timers: files watched for moves and writes.
class SubscriptionWorld : public AdsWorld {
 public:
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  // Calls `changed` in a later turn whenever something was moved onto `path` or its folder's links
  // changed (`directory`, when not empty, is watched instead of the file's own folder).
  virtual std::unique_ptr<Watch> WatchFile(const std::string& path, const std::string& directory,
                                           std::function<void()> changed) = 0;
  // Opens a call towards the servers of `source` instead of the bootstrap's ADS servers.
  virtual std::unique_ptr<Call> OpenAt(const ApiConfigSource& source, size_t server,
                                       absl::string_view method, CallEvents* events) = 0;
  // One POST of JSON to the cluster of a REST source. `done` is called once, in a later turn, with
  // the status (0: there was no answer) and the body; not after the handle's destruction.
  using PostDone = std::function<void(int status, absl::string_view body)>;
  virtual std::unique_ptr<TimerHandle> Post(const ApiConfigSource& source, absl::string_view path,
                                            std::string body, PostDone done) = 0;
  virtual int64_t WallClockMs() = 0;
};

// One thing that happened to a subscription, for statistics and the log.
struct UpdateEvent {
  enum class Kind {
    kAttempt,       // a request went out
    kSuccess,       // a response was applied
    kRejected,      // (part of) a response was refused; `detail` says why
    kFailure,       // the stream ended, or a file could not be read
    kFetchTimeout,  // initial_fetch_timeout
    kEmpty,         // an answer without the resource
    kWarning,       // `detail`: a field that is not honoured
  };
  Kind kind;
  ResourceKind resource;
  std::string name;  // empty for CDS and LDS as a whole
  std::string version;
  std::string detail;
  bool changed = true;  // kSuccess: something was added or became another
};

// Brings resources into a catalog: from the aggregated stream, from streams of their own, and from
// files; each kind as its sources say. Subscribes to what the catalog wants, times first fetches.
//
// Start-up order (Envoy's): runtime layers first, then clusters, listeners once clusters have
// settled.
//
// Threads: main. The catalog's hooks must call OnInterest().
class Subscriptions {
 public:
  struct Hooks {
    std::function<void(const UpdateEvent&)> on_event;
    std::function<void(bool connected)> on_connected;
    // Clusters and listeners were fetched (or given up) and settled: the workers may start.
    std::function<void()> on_initialized;
    std::function<void(const std::string&)> log;
  };

  Subscriptions(std::shared_ptr<const Bootstrap> bootstrap, Catalog* catalog,
                SubscriptionWorld* world, Hooks hooks, bool reject_unknown_fields);
  ~Subscriptions();

  void Start();
  // The catalog wants other names of this kind; may be called from inside Catalog::Apply.
  void OnInterest(ResourceKind kind);
  // The catalog changed: looks whether start-up can go on.
  void OnCatalogChange();
  bool initialized() const { return phase_ == Phase::kDone; }

 private:
  // Each is awaited before the next begins.
  enum class Phase { kIdle, kRuntime, kClusters, kListeners, kDone };
  struct Stream;
  struct File;

  void StartKind(ResourceKind kind, const ConfigSource& source);
  void SubscribeNames(ResourceKind kind);
  void Subscribe(ResourceKind kind, const std::map<std::string, ConfigSource>& wanted);
  void DropStale(ResourceKind kind, const std::map<std::string, ConfigSource>& wanted);
  void Poll(ResourceKind kind, const std::string& name, const ConfigSource& source);
  void OnPolled(RestPoller& poller, ResourceKind kind, const std::string& name,
                const Response& response);
  // A source of one resource gave all of `update`: it must hold that resource alone. False: it was
  // dealt with.
  bool HoldsOne(const std::string& name, Update* update);
  void StartClocks(ResourceKind kind, const Response& response);
  void WatchResourceFile(ResourceKind kind, const std::string& name, const ConfigSource& source);
  void ReadFile(File& file);
  Stream& AggregatedStream();
  Stream& OwnStream(ResourceKind kind, const ConfigSource& source);
  std::unique_ptr<Stream> MakeStream(const ApiConfigSource& source, std::string method,
                                     bool aggregated);
  void OnResponse(Stream& stream, const Response& response);
  Update Parse(const ResourceType& type, const Response& response);
  void Report(const Update& update, const std::vector<Catalog::Refusal>& refusals,
              bool from_stream);
  void StartFetchTimer(ResourceKind kind, const std::string& name, absl::Duration timeout);
  void StopFetchTimer(ResourceKind kind, const std::string& name);
  void PumpAll();
  void FirstAnswer(ResourceKind kind);
  void StartClusters();
  void Advance();
  void Emit(UpdateEvent::Kind kind, ResourceKind resource, std::string name,
            std::string version = "", std::string detail = "", bool changed = true);

  std::shared_ptr<const Bootstrap> bootstrap_;
  Catalog* catalog_;
  SubscriptionWorld* world_;
  Hooks hooks_;
  bool reject_unknown_fields_;
  Phase phase_ = Phase::kIdle;
  bool advancing_ = false;
  bool applying_ = false;
  bool clusters_answered_ = false;
  bool listeners_answered_ = false;
  std::unique_ptr<Stream> aggregated_;
  std::map<std::string, std::unique_ptr<Stream>> own_;
  std::map<std::pair<ResourceKind, std::string>, std::unique_ptr<File>> files_;
  std::map<std::pair<ResourceKind, std::string>, std::unique_ptr<AdsWorld::TimerHandle>> fetches_;
  std::map<std::pair<ResourceKind, std::string>, std::unique_ptr<RestPoller>> pollers_;
  // Resources with a time to live.
  std::map<std::pair<ResourceKind, std::string>, std::unique_ptr<AdsWorld::TimerHandle>> clocks_;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_SUBSCRIPTIONS_H_
