// The vocabulary between the mesh model and the wire: encoded resources with
// versions, by type and name, for one node.
#ifndef REMORA_XDS_CONTROL_RESOURCES_H_
#define REMORA_XDS_CONTROL_RESOURCES_H_

#include <array>
#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace google::protobuf {
class MessageLite;
}

namespace remora::control {

// In the order in which a change is told, so that nothing is named before it
// is there.
enum class Type { kCluster, kEndpoint, kListener, kRoute, kSecret };
inline constexpr size_t kTypes = 5;
inline constexpr std::array<Type, kTypes> kTypeOrder = {
    Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute, Type::kSecret};

// "type.googleapis.com/envoy.config.cluster.v3.Cluster" and so on.
absl::string_view TypeUrl(Type type);
std::optional<Type> TypeOf(absl::string_view url);

struct Resource {
  std::string version;  // hash of the body
  std::string body;     // the message, serialised in one and the same way
  bool operator==(const Resource&) const = default;
};
using ResourcePtr = std::shared_ptr<const Resource>;
using ResourceMap = std::map<std::string, ResourcePtr, std::less<>>;

// All that one node is told, at one moment.
class NodeResources {
 public:
  void Add(Type type, const std::string& name, const google::protobuf::MessageLite& message);

  const ResourceMap& Of(Type type) const { return maps_[static_cast<size_t>(type)]; }
  ResourceMap& Of(Type type) { return maps_[static_cast<size_t>(type)]; }

 private:
  std::array<ResourceMap, kTypes> maps_;
};

// Short hash of some bytes: what versions are made of.
std::string VersionOf(absl::string_view bytes);

// Who a node says it is: `NAME` or `NAME~INSTANCE`.
struct NodeId {
  std::string name;      // of a service or gateway
  std::string instance;  // which of its sidecars, when it has several
  auto operator<=>(const NodeId&) const = default;
};
NodeId ParseNodeId(absl::string_view id);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_RESOURCES_H_
