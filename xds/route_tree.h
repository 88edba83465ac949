#ifndef REMORA_XDS_ROUTE_TREE_H_
#define REMORA_XDS_ROUTE_TREE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "filters/match_tree.h"
#include "xds/parse_context.h"
#include "xds/route.h"

namespace envoy::config::route::v3 {
class Route;
}

namespace remora::xds {

// How a virtual host finds a route by the matching API in place of a list: each action of the tree
// is a route or a list of routes, which stand in VirtualHost::routes. Of those that were found the
// first one whose own match agrees is taken.
//
// Threads: const after Parse, shared.
struct RouteTree {
  struct Run {
    uint32_t begin;
    uint32_t end;
  };

  MatchTree tree;
  std::vector<Run> actions;

  using RouteParser =
      std::function<Route(const envoy::config::route::v3::Route& proto, ParseContext& context)>;

  // Appends the routes to `routes`. Null when there were errors.
  static std::shared_ptr<const RouteTree> Parse(const ::xds::type::matcher::v3::Matcher& proto,
                                                const RouteParser& parse_route,
                                                std::vector<Route>* routes, ParseContext& context);

  // Null: nothing was found.
  const Route* Match(const RouteQuery& query, absl::Span<const Route> routes) const;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_ROUTE_TREE_H_
