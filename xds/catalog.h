#ifndef REMORA_XDS_CATALOG_H_
#define REMORA_XDS_CATALOG_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/bootstrap.h"
#include "xds/config_source.h"
#include "xds/resource_types.h"
#include "xds/snapshot.h"

namespace remora::xds {

struct HttpConnectionManager;

// One batch of resources of one kind from one source, already parsed.
struct Update {
  struct Item {
    std::string name;  // as far as it could be read
    absl::StatusOr<Resource> resource;
    std::string bytes;  // as it came; kept when it is refused, for /config_dump
  };
  ResourceKind kind;
  std::string version;
  std::vector<Item> items;
  // The items are all there is: what is missing is gone (CDS and LDS in state of the world, files).
  bool full_set = false;
  std::vector<std::string> removed;
  // Of a full set: still there as they are (heartbeats).
  std::vector<std::string> confirmed;
};

// Accepted resources, and what each still waits for; makes the next snapshot.
//
// A cluster serves once its endpoints (kEds) and secrets are here, a listener once its routes and
// secrets are; until then the version before it, if any, goes on serving (make before break). What
// never comes is given up by OnFetchTimeout, as Envoy's initial_fetch_timeout says. A resource that
// was refused keeps its predecessor, for ever; the refusal is remembered for /config_dump.
//
// Threads: main. The hooks are called from inside Apply and OnFetchTimeout and must not call back.
class Catalog {
 public:
  struct Hooks {
    // TakeSnapshot() would give something new.
    std::function<void()> on_change;
    // Wanted() changed for this kind.
    std::function<void(ResourceKind)> on_interest;
  };
  // How a resource stands, for /config_dump.
  enum class Stage { kActive, kWarming };
  struct Failure {
    std::string details;
    std::string version;
    int64_t time_ms = 0;  // since the epoch
    std::string bytes;    // what was refused; may be empty
  };
  struct Status {
    std::string name;
    std::string version;
    int64_t updated_ms = 0;
    bool is_static = false;
    Stage stage = Stage::kActive;
    std::shared_ptr<const Resource> resource;  // null: only refused so far
    const Failure* failure = nullptr;
  };

  Catalog(std::shared_ptr<const Bootstrap> bootstrap, Hooks hooks);
  ~Catalog();

  // Applies what can be applied and returns each refused resource's name and error text. Of several
  // resources with one name in a batch the first counts.
  struct Refusal {
    std::string name;
    std::string error;
  };
  std::vector<Refusal> Apply(const Update& update, int64_t now_ms);
  // How many resources the last Apply() added or changed.
  size_t changes() const { return changes_; }
  // What the last answer for listeners was refused for, in its order.
  const std::vector<Failure>& listener_failures() const { return listener_failures_; }

  // The names of a kind that clusters and listeners refer to, with the source of each. CDS and LDS
  // are subscribed to as a whole and not listed.
  std::map<std::string, ConfigSource> Wanted(ResourceKind kind) const;
  // The clusters and listeners that refer to a resource of a kind, warming ones included.
  const std::vector<std::shared_ptr<const Resource>>& UsersOf(ResourceKind kind,
                                                              const std::string& name) const;
  // Whether a resource is here or was given up; of a collection: whether any answer came.
  bool Arrived(ResourceKind kind, const std::string& name) const;
  // Everything wanted of a kind has arrived.
  bool AllArrived(ResourceKind kind) const;
  // `name` did not come in time: whoever waits for it goes on without it.
  void OnFetchTimeout(ResourceKind kind, const std::string& name);
  // A file behind a secret changed: reads it anew. An error (files that do not agree, unreadable)
  // leaves the secret as it was.
  absl::Status ReloadSecret(const std::string& name, int64_t now_ms);
  // The control plane said that it does not exist (delta removal, or absence in a file).
  bool Has(ResourceKind kind, const std::string& name) const;

  // No cluster (listener) waits for anything. For the order of start-up.
  bool clusters_settled() const { return warming_clusters_.empty(); }
  bool listeners_settled() const { return warming_listeners_.empty(); }
  size_t warming_count(ResourceKind kind) const;

  std::shared_ptr<const Snapshot> TakeSnapshot();
  // Each resource of a kind, warming ones and refused ones included.
  std::vector<Status> Statuses(ResourceKind kind) const;
  // Listeners that warm, each with what it waits for ("RDS name", "SDS name"); for /init_dump.
  std::vector<std::pair<std::string, std::vector<std::string>>> UnreadyListeners() const;
  // The last version of a kind as a whole of which anything was accepted.
  const std::string& version(ResourceKind kind) const {
    return versions_[static_cast<size_t>(kind)];
  }

 private:
  struct Entry {
    std::shared_ptr<const Resource> resource;
    std::string version;
    int64_t updated_ms = 0;
    bool is_static = false;
    uint64_t arrival = 0;  // order of listeners
  };
  using Entries = std::map<std::string, Entry>;

  Entries& entries(ResourceKind kind) { return entries_[static_cast<size_t>(kind)]; }
  const Entries& entries(ResourceKind kind) const { return entries_[static_cast<size_t>(kind)]; }
  Entries& WarmingOf(ResourceKind kind);

  void AddStatic(const Bootstrap& bootstrap);
  void Store(const Resource& resource, const std::string& version, int64_t now_ms, bool is_static);
  bool Repeats(const Resource& resource);
  absl::Status Admissible(const Update& update, const Resource& resource) const;
  void Remove(ResourceKind kind, const std::string& name);
  void RemoveMissing(const Update& update);
  void Settle();
  std::vector<Refusal> RefusedWhole(const Update& update) const;
  void Refuse(const Update& update, const Update::Item& item, const std::string& error, bool again,
              int64_t now_ms);
  bool Wants(const Resource& resource) const;
  bool SettleKind(ResourceKind kind, Entries& warming,
                  bool (Catalog::*ready)(const Resource&) const);
  bool ClusterReady(const Resource& resource) const;
  bool ListenerReady(const Resource& resource) const { return MissingOf(resource).empty(); }
  // What a listener waits for.
  std::vector<std::string> MissingOf(const Resource& listener) const;
  void NoteAnswer(const Update& update);
  absl::Status FitsTogether(const Update& update) const;
  // What a resource must find around it, beyond itself.
  absl::Status FitsIn(const Resource& resource) const;
  absl::Status FitsUsers(const Resource& resource) const;
  absl::Status FitsSecretUsers(const Resource& resource) const;
  absl::Status FitsClusters(const RouteTable& table, bool otherwise) const;
  absl::Status FitsAddresses(const Listener& listener) const;
  std::vector<const std::string*> LateHosts(const std::string& table, const Update* with) const;
  std::shared_ptr<const RouteTable> Whole(const std::shared_ptr<const RouteTable>& table) const;
  void UpdateInterest();
  // Names that are referred to, by kind, with their sources and who refers to them.
  struct References {
    std::array<std::map<std::string, ConfigSource>, kResourceKindCount> sources;
    std::array<std::map<std::string, std::vector<std::shared_ptr<const Resource>>>,
               kResourceKindCount>
        users;
    std::shared_ptr<const Resource> user;  // whose references are being collected
    void Add(ResourceKind kind, const std::string& name, const ConfigSource& source);
  };
  static void CollectCluster(const Cluster& cluster, References* out);
  void CollectListener(const Listener& listener, References* out) const;
  void CollectLateHosts(References* out) const;
  // The RDS names that a connection manager's scopes lead to.
  std::set<std::string> TablesOfScopes(const HttpConnectionManager& http) const;
  template <typename T>
  std::shared_ptr<const absl::flat_hash_map<std::string, std::shared_ptr<const T>>> MapOf(
      ResourceKind kind) const;
  void DropUnwanted();
  void MarkDirty(ResourceKind kind);

  Hooks hooks_;
  std::shared_ptr<const Bootstrap> bootstrap_;
  // Serving (or held, for kinds that others wait for), by kind and name.
  std::array<Entries, kResourceKindCount> entries_;
  Entries warming_clusters_;
  Entries warming_listeners_;
  std::array<std::map<std::string, ConfigSource>, kResourceKindCount> wanted_;
  std::array<std::map<std::string, std::vector<std::shared_ptr<const Resource>>>,
             kResourceKindCount>
      users_;
  std::array<std::set<std::string>, kResourceKindCount> timed_out_;
  std::array<std::map<std::string, Failure>, kResourceKindCount> failures_;
  std::array<std::string, kResourceKindCount> versions_;
  std::array<bool, kResourceKindCount> dirty_ = {};
  std::array<bool, kResourceKindCount> answered_ = {};
  std::shared_ptr<const Snapshot> last_;
  std::vector<Failure> listener_failures_;
  size_t changes_ = 0;
  bool removed_any_ = false;  // by the last Apply()
  uint64_t next_number_ = 1;
  uint64_t next_arrival_ = 0;
};

struct CommonTls;

// Every secret that a TLS setting refers to.
void CollectSecretRefs(const CommonTls& tls, std::vector<SecretRef>* out);

}  // namespace remora::xds

#endif  // REMORA_XDS_CATALOG_H_
