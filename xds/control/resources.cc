#include "xds/control/resources.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>
#include <openssl/evp.h>

#include "absl/strings/escaping.h"

namespace remora::control {
namespace {

constexpr std::array<absl::string_view, kTypes> kTypeUrls = {
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"};

// Map fields have no order of their own; equal messages must give equal bytes.
std::string Serialise(const google::protobuf::MessageLite& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

}  // namespace

absl::string_view TypeUrl(Type type) { return kTypeUrls[static_cast<size_t>(type)]; }

std::optional<Type> TypeOf(absl::string_view url) {
  for (Type type : kTypeOrder) {
    if (TypeUrl(type) == url) return type;
  }
  return std::nullopt;
}

void NodeResources::Add(Type type, const std::string& name,
                        const google::protobuf::MessageLite& message) {
  std::string body = Serialise(message);
  std::string version = VersionOf(body);
  Of(type).insert_or_assign(
      name, std::make_shared<const Resource>(Resource{std::move(version), std::move(body)}));
}

std::string VersionOf(absl::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), 8));
}

NodeId ParseNodeId(absl::string_view id) {
  const size_t tilde = id.find('~');
  if (tilde == absl::string_view::npos) return {std::string(id), ""};
  return {std::string(id.substr(0, tilde)), std::string(id.substr(tilde + 1))};
}

}  // namespace remora::control
