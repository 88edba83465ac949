#include "xds/bootstrap.h"

#include <functional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "xds/bootstrap_parse.h"
#include "xds/config_text.h"
#include "xds/durations.h"
#include "xds/file.h"
#include "xds/type_registry.h"
#include "xds/validate.h"

namespace remora::xds {
namespace {

// Parses each proto of a list; what is wrong stays out, its errors are in
// `context`.
template <typename T, typename List>
void ParseAll(const char* field, const List& list, std::vector<std::shared_ptr<const T>>* out,
              ParseContext& context) {
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    auto parsed = T::Parse(list[i], context);
    if (parsed.ok()) out->push_back(*std::move(parsed));
  }
}

// Of listeners with the same name the first counts, as later ones would be
// updates of it; two names at one address cannot be.
void CheckListeners(std::vector<std::shared_ptr<const Listener>>* listeners,
                    ParseContext& context) {
  absl::flat_hash_set<std::string> names;
  absl::flat_hash_set<std::string> addresses;
  std::vector<std::shared_ptr<const Listener>> kept;
  for (auto& listener : *listeners) {
    if (!names.insert(listener->name).second) {
      context.Warn(absl::StrCat("a second listener named '", listener->name, "' is left out"));
      continue;
    }
    const bool bound = listener->bind_to_port && listener->address.port != 0;
    if (bound && !addresses.insert(listener->address.ToString()).second) {
      context.ErrorAt(
          "listeners",
          absl::StrCat("error adding listener: '", listener->name, "' has duplicate address '",
                       listener->address.ToString(), "' as existing listener"));
    }
    kept.push_back(std::move(listener));
  }
  *listeners = std::move(kept);
}

void CheckSecretNames(const BootstrapProto& proto, ParseContext& context) {
  absl::flat_hash_set<std::string> seen;
  for (int i = 0; i < proto.static_resources().secrets_size(); ++i) {
    const auto& secret = proto.static_resources().secrets(i);
    // One name may stand for secrets of different kinds.
    if (seen.insert(absl::StrCat(static_cast<int>(secret.type_case()), " ", secret.name()))
            .second) {
      continue;
    }
    ParseContext::Scope scope(context, "secrets", i);
    context.Error(absl::StrCat("Duplicate static secret name ", secret.name()));
  }
}

void ParseStatic(const BootstrapProto& proto, Bootstrap* out, ParseContext& context) {
  ParseContext::Scope scope(context, "static_resources");
  const auto& resources = proto.static_resources();
  absl::flat_hash_set<std::string> secrets;
  absl::flat_hash_set<std::string> clusters;
  for (const auto& secret : resources.secrets()) secrets.insert(secret.name());
  context.set_known_secrets(&secrets);
  for (int i = 0; i < resources.clusters_size(); ++i) {
    if (!clusters.insert(resources.clusters(i).name()).second) {
      ParseContext::Scope item(context, "clusters", i);
      context.ErrorAt("name", absl::StrCat("cluster manager: duplicate cluster '",
                                           resources.clusters(i).name(), "'"));
    }
  }
  CheckSecretNames(proto, context);
  ParseAll("secrets", resources.secrets(), &out->secrets, context);
  ParseAll("clusters", resources.clusters(), &out->clusters, context);
  context.set_known_clusters(&clusters);
  ParseAll("listeners", resources.listeners(), &out->listeners, context);
  CheckListeners(&out->listeners, context);
  context.set_known_clusters(nullptr);
  context.set_known_secrets(nullptr);
}

// The listeners' and clusters' own source; a file is read without saying who asks.
ConfigSource ParseTopSource(const char* field, const envoy::config::core::v3::ConfigSource& proto,
                            ParseContext& context) {
  ParseContext::Scope scope(context, field);
  const bool known = context.node_known();
  if (proto.has_path() || proto.has_path_config_source()) context.set_node_known(true);
  ConfigSource out = ParseConfigSource(proto, context);
  context.set_node_known(known);
  return out;
}

void ParseDynamic(const BootstrapProto& proto, Bootstrap* out, ParseContext& context) {
  ParseContext::Scope scope(context, "dynamic_resources");
  const auto& resources = proto.dynamic_resources();
  if (resources.has_lds_config()) {
    out->lds = ParseTopSource("lds_config", resources.lds_config(), context);
  }
  if (resources.has_cds_config()) {
    out->cds = ParseTopSource("cds_config", resources.cds_config(), context);
  }
  if (resources.has_ads_config()) {
    ParseContext::Scope inner(context, "ads_config");
    out->ads = ParseApiConfigSource(resources.ads_config(), context);
    if (out->ads->type == ApiConfigSource::Type::kRest) {
      context.ErrorAt("api_type", "envoy.config.core.v3.ApiConfigSource type must be of gRPC");
    }
  }
  if (!resources.lds_resources_locator().empty()) context.NotHonoured("lds_resources_locator");
  if (!resources.cds_resources_locator().empty()) context.NotHonoured("cds_resources_locator");
}

bool HasCluster(const BootstrapProto& proto, const std::string& name) {
  for (const auto& cluster : proto.static_resources().clusters()) {
    if (cluster.name() == name) return true;
  }
  return false;
}

void ParseManager(const BootstrapProto& proto, Bootstrap* out, ParseContext& context) {
  ParseContext::Scope scope(context, "cluster_manager");
  const auto& manager = proto.cluster_manager();
  out->local_cluster_name = manager.local_cluster_name();
  if (!out->local_cluster_name.empty() && !HasCluster(proto, out->local_cluster_name)) {
    context.ErrorAt("local_cluster_name",
                    absl::StrCat("local cluster '", out->local_cluster_name, "' must be defined"));
  }
  out->outlier_event_log = manager.outlier_detection().event_log_path();
  if (!out->outlier_event_log.empty()) {
    const absl::Status writable = CheckWritable(out->outlier_event_log);
    if (!writable.ok()) context.ErrorAt("outlier_detection", writable.message());
  }
  if (manager.has_upstream_bind_config()) {
    ParseContext::Scope inner(context, "upstream_bind_config");
    out->upstream_bind = ParseBindConfig(manager.upstream_bind_config(), context);
  }
  if (manager.has_load_stats_config()) {
    ParseContext::Scope inner(context, "load_stats_config");
    out->load_stats = ParseApiConfigSource(manager.load_stats_config(), context);
  }
  out->deferred_cluster_creation = manager.enable_deferred_cluster_creation();
}

// Streams to a control plane need a cluster that is there before them.
void CheckStreams(const Bootstrap& bootstrap, ParseContext& context) {
  const auto usable = [&](const std::string& name) {
    for (const auto& cluster : bootstrap.clusters) {
      if (cluster->name == name) return cluster->type != Cluster::Type::kEds;
    }
    return false;
  };
  const auto check = [&](const char* field, const ApiConfigSource& source) {
    std::vector<std::string> names = source.cluster_names;
    for (const GrpcService& service : source.grpc_services) {
      if (!service.cluster.empty()) names.push_back(service.cluster);
    }
    for (const std::string& name : names) {
      if (usable(name)) continue;
      context.ErrorAt(field,
                      absl::StrCat("must have a statically defined non-EDS cluster: '", name,
                                   "' does not exist, was added via api, or is an EDS cluster"));
    }
  };
  const auto check_source = [&](const char* field, const ConfigSource& source) {
    if (source.kind == ConfigSource::Kind::kApi) check(field, source.api);
    if (source.kind == ConfigSource::Kind::kAds && !bootstrap.ads.has_value()) {
      context.Warn(absl::StrCat(field, " asks for ads, but ads_config is not set"));
    }
  };
  if (bootstrap.ads.has_value()) check("dynamic_resources.ads_config", *bootstrap.ads);
  check_source("dynamic_resources.lds_config", bootstrap.lds);
  check_source("dynamic_resources.cds_config", bootstrap.cds);
  if (bootstrap.ads.has_value() && !context.node_known()) {
    context.ErrorAt("dynamic_resources.ads_config", kNodeRequired);
  }
}

void ParseExtensions(const BootstrapProto& proto, Bootstrap* out, ParseContext& context) {
  for (int i = 0; i < proto.bootstrap_extensions_size(); ++i) {
    ParseContext::Scope scope(context, "bootstrap_extensions", i);
    out->bootstrap_extensions.push_back(ParseExtension(proto.bootstrap_extensions(i), context));
    context.NotHonoured("");
  }
  if (!proto.header_prefix().empty()) {
    out->header_prefix = proto.header_prefix();
    if (proto.header_prefix() != "x-envoy") context.NotHonoured("header_prefix");
  }
  if (proto.has_stats_server_version_override()) {
    out->stats_server_version_override = proto.stats_server_version_override().value();
  }
}

void WarnOfTheRest(const BootstrapProto& proto, ParseContext& context) {
  if (proto.has_hds_config()) context.NotHonoured("hds_config");
  if (proto.has_watchdog()) context.NotHonoured("watchdog");
  if (proto.has_watchdogs()) context.NotHonoured("watchdogs");
  if (proto.has_tracing()) context.NotHonoured("tracing");
  if (proto.enable_dispatcher_stats()) context.NotHonoured("enable_dispatcher_stats");
  if (proto.has_typed_dns_resolver_config()) context.NotHonoured("typed_dns_resolver_config");
  if (proto.fatal_actions_size() != 0) context.NotHonoured("fatal_actions");
  if (proto.config_sources_size() != 0) context.NotHonoured("config_sources");
  if (proto.has_default_config_source()) context.NotHonoured("default_config_source");
  if (proto.certificate_provider_instances_size() != 0) {
    context.NotHonoured("certificate_provider_instances");
  }
  if (proto.has_xds_delegate_extension()) context.NotHonoured("xds_delegate_extension");
  if (proto.has_xds_config_tracker_extension()) {
    context.NotHonoured("xds_config_tracker_extension");
  }
  if (proto.has_stats_eviction_interval()) context.NotHonoured("stats_eviction_interval");
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Bootstrap>> Bootstrap::Parse(const BootstrapProto& proto,
                                                                  const Options& options,
                                                                  ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<Bootstrap>();
  out->original = SerializeDeterministically(proto);
  out->node = ParseNode(proto.node(), options);
  context.set_node_known(!out->node.id.empty() && !out->node.cluster.empty());
  ParseRuntime(proto, out.get(), context);
  ParseStatic(proto, out.get(), context);
  ParseDynamic(proto, out.get(), context);
  ParseManager(proto, out.get(), context);
  ParseOperation(proto, out.get(), context);
  ParseExtensions(proto, out.get(), context);
  CheckStreams(*out, context);
  WarnOfTheRest(proto, context);
  for (const Finding& warning : context.warnings()) {
    out->warnings.push_back(context.Describe(warning));
  }
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<std::shared_ptr<const Bootstrap>> Bootstrap::Load(const Options& options) {
  if (options.path.empty() && options.inline_yaml.empty()) {
    return absl::InvalidArgumentError(
        "At least one of --config-path or --config-yaml should be non-empty");
  }
  ParseContext context(ParseContext::Origin::kStatic);
  context.set_unknown_fields_are_errors(!options.allow_unknown_static_fields);
  BootstrapProto proto;
  SourceMap source(options.path.empty() ? "--config-yaml" : options.path);
  context.set_source(&source);
  if (!options.path.empty()) {
    absl::StatusOr<std::string> text = ReadFile(options.path);
    if (!text.ok()) return text.status();
    ReadInto(FormatOf(options.path), *text, options.path, &proto, context, &source);
  }
  if (!options.inline_yaml.empty()) {
    BootstrapProto over;
    SourceMap inline_source("--config-yaml");
    ReadInto(TextFormat::kYaml, options.inline_yaml, "--config-yaml", &over, context,
             options.path.empty() ? &source : &inline_source);
    proto.MergeFrom(over);
  }
  Validate(proto, context);
  context.SealSyntaxErrors();
  absl::StatusOr<std::shared_ptr<const Bootstrap>> parsed = Parse(proto, options, context);
  if (!context.ok()) return context.status();
  return parsed;
}

}  // namespace remora::xds
