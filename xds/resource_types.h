#ifndef REMORA_XDS_RESOURCE_TYPES_H_
#define REMORA_XDS_RESOURCE_TYPES_H_

#include <memory>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "xds/cluster.h"
#include "xds/endpoint.h"
#include "xds/extension_config.h"
#include "xds/late_virtual_host.h"
#include "xds/listener.h"
#include "xds/parse_context.h"
#include "xds/route.h"
#include "xds/runtime_layer.h"
#include "xds/scoped_route.h"
#include "xds/secret.h"

namespace google::protobuf {
class Any;
}

namespace remora::xds {

enum class ResourceKind {
  kCluster,
  kEndpoints,
  kListener,
  kRouteTable,
  kSecret,
  kScopedRoute,
  kVirtualHost,  // of a table that gets its hosts one by one (VHDS)
  kExtension,    // a filter's configuration (ECDS)
  kRuntime,
};
inline constexpr size_t kResourceKindCount = 9;
// Kinds whose resources are asked for because others refer to them.
inline constexpr ResourceKind kReferredKinds[] = {
    ResourceKind::kEndpoints,   ResourceKind::kRouteTable,  ResourceKind::kSecret,
    ResourceKind::kScopedRoute, ResourceKind::kVirtualHost, ResourceKind::kExtension,
    ResourceKind::kRuntime};
// Those come as a whole, by no name.
inline bool IsCollection(ResourceKind kind) {
  return kind == ResourceKind::kCluster || kind == ResourceKind::kListener ||
         kind == ResourceKind::kScopedRoute;
}

// A decoded, validated and parsed resource.
struct Resource {
  ResourceKind kind;
  std::string name;
  std::variant<std::shared_ptr<const Cluster>, std::shared_ptr<const ClusterLoadAssignment>,
               std::shared_ptr<const Listener>, std::shared_ptr<const RouteTable>,
               std::shared_ptr<const Secret>, std::shared_ptr<const ScopedRoute>,
               std::shared_ptr<const LateVirtualHost>, std::shared_ptr<const ExtensionConfig>,
               std::shared_ptr<const RuntimeLayer>>
      value;
};

// The serialized proto that a resource was made of: equal bytes are the same resource.
const std::string& OriginalOf(const Resource& resource);

// One row per resource type, in the order in which they are applied: clusters and endpoints before
// the listeners and routes that need them.
struct ResourceType {
  ResourceKind kind;
  absl::string_view type_url;    // "type.googleapis.com/envoy.config.cluster.v3.Cluster"
  absl::string_view short_name;  // "CDS"
  // A response holds every resource there is: what is missing in it is gone (state of the world).
  bool full_set;
  // Decodes, validates and parses serialized bytes of that type. Pure: any thread. DataLoss: it is
  // no such message, or breaks the rules of the proto; then none of its response may be taken.
  absl::StatusOr<Resource> (*parse)(const std::string& bytes, ParseContext& context);
  // The resource's name read from the bytes, even when the rest is wrong; "" when there is none.
  std::string (*name)(const std::string& bytes);
};

absl::Span<const ResourceType> ResourceTypes();
const ResourceType& TypeOf(ResourceKind kind);
// Null when the URL is none of ours.
const ResourceType* FindResourceType(absl::string_view type_url);

// Parses one resource by its type URL; a TypedStruct is unwrapped.
absl::StatusOr<Resource> ParseResource(const google::protobuf::Any& any, ParseContext& context);

// The resources of a subscribed file: a DiscoveryResponse in YAML, JSON or binary by the ending of
// `path`. Errors of single resources do not spoil the others, as in a response of a server.
struct FileResources {
  std::string version;
  struct Item {
    std::string name;  // as far as it could be read
    absl::StatusOr<Resource> resource;
    std::string bytes;  // the serialized resource
  };
  std::vector<Item> items;
  std::vector<std::string> warnings;
};
absl::StatusOr<FileResources> ReadResourceFile(const std::string& path, absl::string_view type_url);

}  // namespace remora::xds

#endif  // REMORA_XDS_RESOURCE_TYPES_H_
