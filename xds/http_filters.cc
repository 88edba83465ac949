#include "xds/http_filters.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "filters/registry.h"
#include "xds/extension_config.h"
#include "xds/type_registry.h"
#include "xds/validate.h"

namespace remora::xds {
namespace {

using Proto = envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
using Router = envoy::extensions::filters::http::router::v3::Router;

void ParseRouter(const Extension& config, ParseContext& context) {
  Router router;
  if (!DecodeInto(config, &router, context)) return;
  if (router.upstream_log_size() != 0) context.NotHonoured("upstream_log");
  if (router.upstream_http_filters_size() != 0) {
    context.NotHonoured("upstream_http_filters");
  }
  if (router.strict_check_headers_size() != 0) {
    context.NotHonoured("strict_check_headers");
  }
}

// The rules of a filter's proto, before its factory reads it.
bool CheckRules(const Extension& config, ParseContext& context) {
  std::unique_ptr<google::protobuf::Message> message = NewMessage(config.type_name());
  return message != nullptr && DecodeInto(config, message.get(), context);
}

void MakeFactory(HttpFilterConfig* out, ParseContext& context) {
  if (FindHttpFilter(out->config.type_url) == nullptr && out->is_optional) {
    return context.Warn(
        absl::StrCat("optional filter ", out->config.type_url, " is not known and left out"));
  }
  if (FindHttpFilter(out->config.type_url) != nullptr && !CheckRules(out->config, context)) {
    return;
  }
  absl::StatusOr<std::shared_ptr<const FilterFactory>> factory =
      MakeHttpFilter(out->name, out->config.type_url, out->config.value);
  if (factory.ok()) {
    out->factory = *std::move(factory);
  } else {
    context.Error(factory.status());
  }
}

HttpFilterConfig ParseOne(const Proto& proto, bool last, ParseContext& context) {
  HttpFilterConfig out;
  out.name = proto.name();
  out.is_optional = proto.is_optional();
  out.disabled = proto.disabled();
  if (proto.has_config_discovery()) {
    ParseContext::Scope scope(context, "config_discovery");
    out.discovery = ExtensionDiscovery::Parse(out.name, proto.config_discovery(), last, context);
    return out;
  }
  ParseContext::Scope scope(context, "typed_config");
  if (!proto.has_typed_config()) {
    context.Error(absl::StrCat("Didn't find a registered implementation for '", out.name,
                               "' with type URL: ''"));
    return out;
  }
  out.config = ParseExtension(out.name, proto.typed_config(), context);
  out.is_router = out.config.type_name() == Router::descriptor()->full_name();
  if (out.is_router) {
    ParseRouter(out.config, context);
  } else {
    MakeFactory(&out, context);
  }
  return out;
}

}  // namespace

std::vector<HttpFilterConfig> ParseHttpFilters(
    const char* field, const google::protobuf::RepeatedPtrField<Proto>& list,
    ParseContext& context) {
  std::vector<HttpFilterConfig> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    const bool last = i + 1 == list.size();
    HttpFilterConfig filter = ParseOne(list[i], last, context);
    if (filter.discovery != nullptr) {
      out.push_back(std::move(filter));
      continue;
    }
    if (filter.is_router && !last) {
      context.Error(absl::StrCat("Error: terminal filter named ", filter.name,
                                 " must be the last filter in a http filter chain."));
    }
    if (filter.is_router && filter.disabled) {
      context.Error(absl::StrCat("Error: the last (terminal) filter (", filter.name,
                                 ") in the chain cannot be disabled by default."));
    }
    if (!filter.is_router && last) {
      context.Error(absl::StrCat("Error: non-terminal filter named ", filter.name,
                                 " is the last filter in a http filter "
                                 "chain."));
    }
    // An optional filter that nobody knows is not there.
    if (!filter.is_router && filter.factory == nullptr) continue;
    out.push_back(std::move(filter));
  }
  return out;
}

}  // namespace remora::xds
