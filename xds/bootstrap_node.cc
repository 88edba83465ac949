#include "xds/bootstrap_parse.h"
#include "xds/type_registry.h"

namespace remora::xds {

Node ParseNode(const envoy::config::core::v3::Node& proto, const Bootstrap::Options& options) {
  envoy::config::core::v3::Node full = proto;
  if (!options.service_node.empty()) full.set_id(options.service_node);
  if (!options.service_cluster.empty()) full.set_cluster(options.service_cluster);
  if (!options.service_zone.empty()) full.mutable_locality()->set_zone(options.service_zone);
  // Control planes look at these two to decide what they may send.
  full.set_user_agent_name("envoy");
  auto* version = full.mutable_user_agent_build_version();
  version->mutable_version()->set_major_number(options.envoy_version[0]);
  version->mutable_version()->set_minor_number(options.envoy_version[1]);
  version->mutable_version()->set_patch(options.envoy_version[2]);
  auto& labels = *version->mutable_metadata()->mutable_fields();
  labels["ssl.version"].set_string_value("BoringSSL");
  labels["build.type"].set_string_value("RELEASE");
  labels["revision.status"].set_string_value("Clean");

  Node out;
  out.id = full.id();
  out.cluster = full.cluster();
  out.locality = {full.locality().region(), full.locality().zone(), full.locality().sub_zone()};
  out.metadata = MetadataValue::From(full.metadata());
  out.original = SerializeDeterministically(full);
  return out;
}

}  // namespace remora::xds
