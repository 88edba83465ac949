#include "xds/scoped_route.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "filters/api/headers.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

using ScopeProto = envoy::config::route::v3::ScopedRouteConfiguration;
using ScopesProto = envoy::extensions::filters::network::http_connection_manager::v3::ScopedRoutes;

// The first value of a header; "host" is spoken of as such and as a pseudo header.
std::optional<absl::string_view> HeaderValue(const Headers& request, absl::string_view name) {
  const auto unless_empty = [](absl::string_view value) {
    return value.empty() ? std::nullopt : std::optional<absl::string_view>(value);
  };
  if (name == "host" || name == ":authority") return unless_empty(request.authority());
  if (name == ":path") return unless_empty(request.path());
  if (name == ":method") return unless_empty(request.method());
  if (name == ":scheme") return unless_empty(request.scheme());
  const Header* header = request.Find(name);
  return header == nullptr ? std::nullopt : std::optional<absl::string_view>(header->value);
}

// The element by its place, counted from 0; an empty separator makes the whole value one element.
std::optional<absl::string_view> ElementAt(absl::string_view value, absl::string_view separator,
                                           uint32_t index) {
  for (;; --index) {
    const size_t end = separator.empty() ? absl::string_view::npos : value.find(separator);
    if (index == 0) return value.substr(0, end);
    if (end == absl::string_view::npos) return std::nullopt;
    value.remove_prefix(end + separator.size());
  }
}

// The value of the first element that has this key.
std::optional<absl::string_view> ElementOf(absl::string_view value,
                                           const ScopeKeyBuilder::Fragment& fragment) {
  for (;;) {
    const size_t end =
        fragment.separator.empty() ? absl::string_view::npos : value.find(fragment.separator);
    const absl::string_view element = value.substr(0, end);
    const size_t split = element.find(fragment.element_separator);
    if (split != absl::string_view::npos && element.substr(0, split) == *fragment.element_key) {
      return element.substr(split + fragment.element_separator.size());
    }
    if (end == absl::string_view::npos) return std::nullopt;
    value.remove_prefix(end + fragment.separator.size());
  }
}

ScopeKeyBuilder ParseKey(const ScopesProto::ScopeKeyBuilder& proto, ParseContext& context) {
  ScopeKeyBuilder out;
  for (int i = 0; i < proto.fragments_size(); ++i) {
    ParseContext::Scope scope(context, "scope_key_builder.fragments", i);
    const auto& extractor = proto.fragments(i).header_value_extractor();
    ScopeKeyBuilder::Fragment fragment;
    fragment.header = absl::AsciiStrToLower(extractor.name());
    fragment.separator = extractor.element_separator();
    fragment.index = extractor.index();
    if (extractor.has_element()) {
      fragment.element_key = extractor.element().key();
      fragment.element_separator = extractor.element().separator();
    } else if (fragment.separator.empty() && fragment.index != 0) {
      context.Error("Index > 0 for empty string element separator.");
    }
    out.Add(std::move(fragment));
  }
  return out;
}

}  // namespace

void AppendScopeFragment(absl::string_view fragment, std::string* key) {
  absl::StrAppend(key, fragment.size(), ":", fragment);
}

absl::StatusOr<std::shared_ptr<const ScopedRoute>> ScopedRoute::Parse(const ScopeProto& proto,
                                                                      ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<ScopedRoute>();
  out->name = proto.name();
  out->route_name = proto.route_configuration_name();
  out->on_demand = proto.on_demand();
  out->original = SerializeDeterministically(proto);
  for (const auto& fragment : proto.key().fragments()) {
    out->fragments.push_back(fragment.string_key());
    AppendScopeFragment(fragment.string_key(), &out->key);
  }
  if (proto.has_route_configuration()) {
    ParseContext::Scope scope(context, "route_configuration");
    absl::StatusOr<std::shared_ptr<const RouteTable>> table =
        RouteTable::Parse(proto.route_configuration(), context);
    if (table.ok()) out->table = *std::move(table);
  } else if (out->route_name.empty()) {
    context.Error("neither route_configuration nor route_configuration_name is set");
  }
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

bool ScopeKeyBuilder::Build(const Headers& request, std::string* key) const {
  key->clear();
  for (const Fragment& fragment : fragments_) {
    const std::optional<absl::string_view> value = HeaderValue(request, fragment.header);
    if (!value.has_value()) return false;
    const std::optional<absl::string_view> element =
        fragment.element_key.has_value() ? ElementOf(*value, fragment)
                                         : ElementAt(*value, fragment.separator, fragment.index);
    if (!element.has_value()) return false;
    AppendScopeFragment(*element, key);
  }
  return true;
}

std::shared_ptr<const ScopedRoutes> ScopedRoutes::Parse(const ScopesProto& proto,
                                                        ParseContext& context) {
  auto out = std::make_shared<ScopedRoutes>();
  out->name = proto.name();
  out->key = ParseKey(proto.scope_key_builder(), context);
  if (proto.has_rds_config_source()) {
    ParseContext::Scope scope(context, "rds_config_source");
    out->rds_source = ParseConfigSource(proto.rds_config_source(), context);
  }
  if (proto.has_scoped_rds()) {
    ParseContext::Scope scope(context, "scoped_rds.scoped_rds_config_source");
    out->source = ParseConfigSource(proto.scoped_rds().scoped_rds_config_source(), context);
    return out;
  }
  const auto& list = proto.scoped_route_configurations_list().scoped_route_configurations();
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context,
                              "scoped_route_configurations_list.scoped_route_configurations", i);
    absl::StatusOr<std::shared_ptr<const ScopedRoute>> parsed =
        ScopedRoute::Parse(list.Get(i), context);
    if (!parsed.ok()) continue;
    std::shared_ptr<const ScopedRoute>& slot = out->inline_scopes[(*parsed)->key];
    if (slot != nullptr) {
      context.Error(absl::StrCat("scope key conflict found, first scope is '", slot->name,
                                 "', second scope is '", (*parsed)->name, "'"));
    }
    slot = *std::move(parsed);
  }
  return out;
}

}  // namespace remora::xds
