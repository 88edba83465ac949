#ifndef REMORA_XDS_BOOTSTRAP_PARSE_H_
#define REMORA_XDS_BOOTSTRAP_PARSE_H_

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "xds/bootstrap.h"
#include "xds/parse_context.h"

namespace remora::xds {

using BootstrapProto = envoy::config::bootstrap::v3::Bootstrap;

// The parts of the bootstrap's parser, one file each. For bootstrap.cc only.

// Node and flags that overrule it: bootstrap_node.cc.
Node ParseNode(const envoy::config::core::v3::Node& proto, const Bootstrap::Options& options);
// Layers of the runtime, and the values they come to at start: bootstrap_runtime.cc.
void ParseRuntime(const BootstrapProto& proto, Bootstrap* out, ParseContext& context);
// Statistics, logs, admin, overload: bootstrap_operation.cc.
void ParseOperation(const BootstrapProto& proto, Bootstrap* out, ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_BOOTSTRAP_PARSE_H_
