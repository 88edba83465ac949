#ifndef REMORA_XDS_CONFIG_DUMP_H_
#define REMORA_XDS_CONFIG_DUMP_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/bootstrap.h"
#include "xds/catalog.h"

namespace google::protobuf {
class Message;
}

namespace remora::xds {

// What /config_dump was asked for.
struct ConfigDumpQuery {
  std::string resource;    // one list, e.g. "dynamic_listeners"
  std::string mask;        // FieldMask, comma-separated
  std::string name_regex;  // RE2, whole name
  bool include_eds = false;
  // The endpoints as they are in force, when include_eds asks for them: an assignment of each
  // cluster.
  struct Endpoints {
    std::string cluster;
    std::string assignment;  // serialized ClusterLoadAssignment
    bool added_via_api = false;
  };
  std::vector<Endpoints> endpoints;
  // Listeners that were replaced or removed and let their connections go.
  struct Draining {
    std::string name;
    std::string version;
    const std::string* original = nullptr;  // serialized Listener
    int64_t updated_ms = 0;
  };
  std::vector<Draining> draining;
};

// The page, as JSON of admin.v3.ConfigDump: bootstrap, clusters, endpoints (when asked), listeners,
// scoped routes, routes, secrets; refused resources with their error_state; secrets redacted.
// NotFound and InvalidArgument carry the text of a 404 and 400. Main thread.
absl::StatusOr<std::string> RenderConfigDump(const Bootstrap& bootstrap, const Catalog& catalog,
                                             const ConfigDumpQuery& query, int64_t start_ms);

// A message as Envoy's admin prints it: names as in the proto, one blank of indentation. Anys of
// types that are not compiled in are printed by the descriptors of the whole API.
std::string ToJson(const google::protobuf::Message& message, bool always_print_primitives = false);

}  // namespace remora::xds

#endif  // REMORA_XDS_CONFIG_DUMP_H_
