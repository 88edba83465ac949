#ifndef REMORA_XDS_EXTENSION_CONFIG_H_
#define REMORA_XDS_EXTENSION_CONFIG_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/config_source.h"
#include "xds/extension.h"
#include "xds/parse_context.h"

namespace envoy::config::core::v3 {
class ExtensionConfigSource;
class TypedExtensionConfig;
}  // namespace envoy::config::core::v3

namespace remora {
class FilterFactory;
}

namespace remora::xds {

// The configuration of an extension that comes by ECDS.
struct ExtensionConfig {
  Extension config;
  std::shared_ptr<const FilterFactory> factory;  // null unless it is of an HTTP filter
  bool is_router = false;
  std::string original;

  static absl::StatusOr<std::shared_ptr<const ExtensionConfig>> Parse(
      const envoy::config::core::v3::TypedExtensionConfig& proto, ParseContext& context);
};

using ExtensionConfigs = absl::flat_hash_map<std::string, std::shared_ptr<const ExtensionConfig>>;

// A filter whose configuration comes by ECDS, as the chain speaks of it.
struct ExtensionDiscovery {
  std::string name;  // of the filter and of the resource
  ConfigSource source;
  std::vector<std::string> type_names;                // one of which it must be
  std::shared_ptr<const ExtensionConfig> default_is;  // until it comes; null: none
  bool without_warming = false;                       // the default serves at once
  bool terminal = false;                              // it stands at the end of its chain

  // Whether a configuration that came may be taken.
  absl::Status Check(const ExtensionConfig& config) const;
  static std::shared_ptr<const ExtensionDiscovery> Parse(
      absl::string_view name, const envoy::config::core::v3::ExtensionConfigSource& proto,
      bool terminal, ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_EXTENSION_CONFIG_H_
