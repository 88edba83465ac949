#include "xds/route_tree.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "xds/core/v3/extension.pb.h"
#include "xds/extension.h"

namespace remora::xds {
namespace {

namespace pb = envoy::config::route::v3;

}  // namespace

std::shared_ptr<const RouteTree> RouteTree::Parse(const ::xds::type::matcher::v3::Matcher& proto,
                                                  const RouteParser& parse_route,
                                                  std::vector<Route>* routes,
                                                  ParseContext& context) {
  std::vector<Run> actions;
  const auto add = [&](const pb::Route& route) {
    routes->push_back(parse_route(route, context));
    routes->back().index = static_cast<uint32_t>(routes->size() - 1);
  };
  const auto parse_action =
      [&](const ::xds::core::v3::TypedExtensionConfig& action) -> absl::StatusOr<size_t> {
    const Extension extension = ParseExtension(action.name(), action.typed_config(), context);
    const auto begin = static_cast<uint32_t>(routes->size());
    pb::Route route;
    pb::RouteList list;
    if (extension.type_name() == route.GetDescriptor()->full_name()) {
      if (DecodeInto(extension, &route, context)) add(route);
    } else if (extension.type_name() == list.GetDescriptor()->full_name()) {
      if (DecodeInto(extension, &list, context)) {
        for (const pb::Route& item : list.routes()) add(item);
      }
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("Didn't find a registered implementation for '", action.name(),
                       "' with type URL: '", extension.type_url, "'"));
    }
    actions.push_back({begin, static_cast<uint32_t>(routes->size())});
    return actions.size() - 1;
  };
  absl::StatusOr<MatchTree> tree = MatchTree::Parse(proto, parse_action);
  if (!tree.ok()) {
    context.Error(tree.status());
    return nullptr;
  }
  return std::make_shared<const RouteTree>(RouteTree{*std::move(tree), std::move(actions)});
}

const Route* RouteTree::Match(const RouteQuery& query, absl::Span<const Route> routes) const {
  if (query.info == nullptr) return nullptr;
  const std::optional<size_t> action = tree.Match({*query.info, &query.headers});
  if (!action.has_value()) return nullptr;
  const Run& run = actions[*action];
  for (const Route& route : routes.subspan(run.begin, run.end - run.begin)) {
    if (route.match.Match(query)) return &route;
  }
  return nullptr;
}

}  // namespace remora::xds
