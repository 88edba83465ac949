#ifndef REMORA_XDS_SCOPED_ROUTE_H_
#define REMORA_XDS_SCOPED_ROUTE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/config_source.h"
#include "xds/parse_context.h"
#include "xds/route.h"

namespace envoy::config::route::v3 {
class ScopedRouteConfiguration;
}
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class ScopedRoutes;
}

namespace remora::xds {

// The fragments of a scope's key as one text: each with its length in front, so that no two lists
// of fragments give the same.
void AppendScopeFragment(absl::string_view fragment, std::string* key);

// One scope: requests with this key are routed by that table.
struct ScopedRoute {
  std::string name;
  std::string key;
  std::vector<std::string> fragments;
  std::string route_name;                   // of a table that comes by RDS, or
  std::shared_ptr<const RouteTable> table;  // one that came along
  bool on_demand = false;                   // the table is fetched when a request asks for it
  std::string original;

  static absl::StatusOr<std::shared_ptr<const ScopedRoute>> Parse(
      const envoy::config::route::v3::ScopedRouteConfiguration& proto, ParseContext& context);
};

// Scopes by key.
using ScopeMap = absl::flat_hash_map<std::string, std::shared_ptr<const ScopedRoute>>;

// How a request's key is made: one fragment for each builder, all of which must be found.
class ScopeKeyBuilder {
 public:
  // Reads one header: a list of elements, of which one by its place or by its key.
  struct Fragment {
    std::string header;     // lower-case
    std::string separator;  // between elements; empty: the value is one element
    uint32_t index = 0;
    std::optional<std::string> element_key;  // instead of the index
    std::string element_separator;           // between an element's key and its value
  };
  void Add(Fragment fragment) { fragments_.push_back(std::move(fragment)); }
  size_t size() const { return fragments_.size(); }
  // False when the request has no such key. `key` keeps its capacity: no heap after warm-up.
  bool Build(const Headers& request, std::string* key) const;

 private:
  std::vector<Fragment> fragments_;
};

// What a connection manager with scoped routes is told.
struct ScopedRoutes {
  std::string name;  // of statistics
  ScopeKeyBuilder key;
  ConfigSource rds_source;
  ScopeMap inline_scopes;  // by key; unless
  ConfigSource source;     // they come by SRDS

  bool dynamic() const { return static_cast<bool>(source); }
  static std::shared_ptr<const ScopedRoutes> Parse(
      const envoy::extensions::filters::network::http_connection_manager::v3::ScopedRoutes& proto,
      ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_SCOPED_ROUTE_H_
