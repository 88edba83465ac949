#include "xds/extension_config.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "filters/registry.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

using Router = envoy::extensions::filters::http::router::v3::Router;

std::shared_ptr<const ExtensionConfig> FromExtension(Extension config, ParseContext& context) {
  auto out = std::make_shared<ExtensionConfig>();
  out->is_router = config.type_name() == Router::descriptor()->full_name();
  if (FindHttpFilter(config.type_url) != nullptr) {
    absl::StatusOr<std::shared_ptr<const FilterFactory>> factory =
        MakeHttpFilter(config.name, config.type_url, config.value);
    if (!factory.ok()) context.Error(factory.status());
    if (factory.ok()) out->factory = *std::move(factory);
  }
  out->config = std::move(config);
  return out;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ExtensionConfig>> ExtensionConfig::Parse(
    const envoy::config::core::v3::TypedExtensionConfig& proto, ParseContext& context) {
  const size_t before = context.error_count();
  auto out =
      std::make_shared<ExtensionConfig>(*FromExtension(ParseExtension(proto, context), context));
  out->original = SerializeDeterministically(proto);
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

absl::Status ExtensionDiscovery::Check(const ExtensionConfig& config) const {
  const absl::string_view type = config.config.type_name();
  if (std::find(type_names.begin(), type_names.end(), type) == type_names.end()) {
    return absl::InvalidArgumentError(absl::StrCat("Error: filter config has type URL ", type,
                                                   " but expect ", absl::StrJoin(type_names, ", "),
                                                   "."));
  }
  if (config.is_router && !terminal) {
    return absl::InvalidArgumentError(absl::StrCat("Error: terminal filter named ", name,
                                                   " of type ", type,
                                                   " must be the last filter in a filter chain."));
  }
  if (!config.is_router && terminal) {
    return absl::InvalidArgumentError(absl::StrCat("Error: non-terminal filter named ", name,
                                                   " of type ", type,
                                                   " is the last filter in a filter chain."));
  }
  return absl::OkStatus();
}

std::shared_ptr<const ExtensionDiscovery> ExtensionDiscovery::Parse(
    absl::string_view name, const envoy::config::core::v3::ExtensionConfigSource& proto,
    bool terminal, ParseContext& context) {
  auto out = std::make_shared<ExtensionDiscovery>();
  out->name = std::string(name);
  out->terminal = terminal;
  out->without_warming = proto.apply_default_config_without_warming();
  {
    ParseContext::Scope scope(context, "config_source");
    out->source = ParseConfigSource(proto.config_source(), context);
  }
  for (const std::string& url : proto.type_urls()) {
    const std::string type(TypeName(url));
    if (FindHttpFilter(type) == nullptr && type != Router::descriptor()->full_name()) {
      context.Error(
          absl::StrCat("Error: no filter factory found for the required type URL ", type, "."));
    }
    out->type_names.push_back(type);
  }
  if (proto.has_default_config()) {
    ParseContext::Scope scope(context, "default_config");
    out->default_is = FromExtension(ParseExtension(name, proto.default_config(), context), context);
    context.Error(out->Check(*out->default_is));
  } else if (out->without_warming) {
    context.Error(absl::StrCat("Error: filter config ", name,
                               " applied without warming but has no default config."));
  }
  return out;
}

}  // namespace remora::xds
