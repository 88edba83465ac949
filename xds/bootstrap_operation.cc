#include <algorithm>
#include <regex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.pb.h"
#include "xds/bootstrap_parse.h"
#include "xds/durations.h"

namespace remora::xds {
namespace {

using StatsProto = envoy::config::metrics::v3::StatsConfig;

template <typename List>
std::vector<StringMatcher> ParseMatchers(const char* field, const List& list,
                                         ParseContext& context) {
  std::vector<StringMatcher> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(list[i]);
    if (matcher.ok()) {
      out.push_back(*std::move(matcher));
    } else {
      context.Error(matcher.status());
    }
  }
  return out;
}

// Tags are cut out by ECMAScript expressions, which know what RE2 does not
// (Istio sends a look-ahead).
StatsConfig::Tag ParseTag(const envoy::config::metrics::v3::TagSpecifier& proto,
                          ParseContext& context) {
  if (!proto.regex().empty()) {
    try {
      std::regex compiled(proto.regex(), std::regex::optimize);
    } catch (const std::regex_error& error) {
      context.ErrorAt("regex", absl::StrCat("Invalid regex '", proto.regex(), "': ", error.what()));
    }
  } else if (proto.fixed_value().empty() && !absl::StartsWith(proto.tag_name(), "envoy.")) {
    context.Error(
        absl::StrCat("No regex specified for tag specifier and no default regex for "
                     "name: '",
                     proto.tag_name(), "'"));
  }
  if (proto.tag_name().empty()) context.Error("tag_name cannot be empty");
  return {proto.tag_name(), proto.regex(), proto.fixed_value()};
}

void ParseBuckets(const StatsProto& proto, StatsConfig* out, ParseContext& context) {
  for (int i = 0; i < proto.histogram_bucket_settings_size(); ++i) {
    ParseContext::Scope scope(context, "histogram_bucket_settings", i);
    const auto& from = proto.histogram_bucket_settings(i);
    absl::StatusOr<StringMatcher> match = StringMatcher::Parse(from.match());
    if (!match.ok()) {
      context.ErrorAt("match", match.status().message());
      continue;
    }
    StatsConfig::Buckets buckets{*std::move(match), {from.buckets().begin(), from.buckets().end()}};
    std::sort(buckets.bounds.begin(), buckets.bounds.end());
    out->histogram_buckets.push_back(std::move(buckets));
    if (from.has_bins()) context.NotHonoured("bins");
  }
}

void ParseStats(const BootstrapProto& proto, StatsConfig* out, ParseContext& context) {
  {
    ParseContext::Scope scope(context, "stats_config");
    const StatsProto& stats = proto.stats_config();
    for (int i = 0; i < stats.stats_tags_size(); ++i) {
      ParseContext::Scope item(context, "stats_tags", i);
      out->tags.push_back(ParseTag(stats.stats_tags(i), context));
    }
    out->use_all_default_tags =
        !stats.has_use_all_default_tags() || stats.use_all_default_tags().value();
    ParseContext::Scope matcher(context, "stats_matcher");
    out->reject_all = stats.stats_matcher().reject_all();
    out->inclusion = ParseMatchers("inclusion_list.patterns",
                                   stats.stats_matcher().inclusion_list().patterns(), context);
    out->exclusion = ParseMatchers("exclusion_list.patterns",
                                   stats.stats_matcher().exclusion_list().patterns(), context);
  }
  {
    ParseContext::Scope scope(context, "stats_config");
    ParseBuckets(proto.stats_config(), out, context);
  }
  if (proto.has_stats_flush_interval())
    out->flush_interval = FromProto(proto.stats_flush_interval());
  out->flush_on_admin = proto.stats_flush_on_admin();
  if (proto.has_stats_flush_interval() && out->flush_on_admin) {
    context.Error("Only one of stats_flush_interval or stats_flush_on_admin should be set!");
  }
}

AdminConfig ParseAdmin(const envoy::config::bootstrap::v3::Admin& proto, ParseContext& context) {
  ParseContext::Scope scope(context, "admin");
  AdminConfig out;
  if (proto.has_address()) {
    ParseContext::Scope address(context, "address");
    out.address = ParseAddress(proto.address(), context);
    if (out.address->kind == AddressSpec::Kind::kSocket &&
        !remora::Address::FromIp(out.address->host, out.address->port).has_value()) {
      context.Error(absl::StrCat("malformed IP address: ", out.address->host));
    }
  }
  for (int i = 0; i < proto.access_log_size(); ++i) {
    ParseContext::Scope item(context, "access_log", i);
    out.access_logs.push_back(AccessLog::Parse(proto.access_log(i), context));
  }
  // The older spelling: a path alone. /dev/null means none.
  if (!proto.access_log_path().empty() && proto.access_log_path() != "/dev/null") {
    AccessLog log;
    log.sink = AccessLog::Sink::kFile;
    log.path = proto.access_log_path();
    out.access_logs.push_back(std::move(log));
  }
  for (const auto& option : proto.socket_options()) {
    out.socket_options.push_back(ParseSocketOption(option, context));
  }
  out.ignore_global_connection_limit = proto.ignore_global_conn_limit();
  out.allow_paths = ParseMatchers("allow_paths", proto.allow_paths(), context);
  return out;
}

void ParseOverload(const BootstrapProto& proto, Bootstrap* out, ParseContext& context) {
  ParseContext::Scope scope(context, "overload_manager");
  const auto& manager = proto.overload_manager();
  for (int i = 0; i < manager.resource_monitors_size(); ++i) {
    ParseContext::Scope item(context, "resource_monitors", i);
    ParseContext::Scope inner(context, "typed_config");
    const Extension config = ParseExtension(manager.resource_monitors(i).name(),
                                            manager.resource_monitors(i).typed_config(), context);
    envoy::extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig
        connections;
    if (config.type_name() == connections.GetDescriptor()->full_name()) {
      if (DecodeInto(config, &connections, context)) {
        out->overload_max_connections =
            static_cast<uint32_t>(connections.max_active_downstream_connections());
      }
    } else {
      context.NotHonoured("");
    }
  }
  if (manager.actions_size() != 0) context.NotHonoured("actions");
  if (manager.loadshed_points_size() != 0) context.NotHonoured("loadshed_points");
}

}  // namespace

void ParseOperation(const BootstrapProto& proto, Bootstrap* out, ParseContext& context) {
  ParseStats(proto, &out->stats, context);
  out->admin = ParseAdmin(proto.admin(), context);
  ParseOverload(proto, out, context);
  for (int i = 0; i < proto.stats_sinks_size(); ++i) {
    ParseContext::Scope scope(context, "stats_sinks", i);
    ParseContext::Scope inner(context, "typed_config");
    out->stats_sinks.push_back(
        ParseExtension(proto.stats_sinks(i).name(), proto.stats_sinks(i).typed_config(), context));
    if (out->stats_sinks.back().type_url.empty()) {
      context.Error(absl::StrCat("Didn't find a registered implementation for '",
                                 proto.stats_sinks(i).name(), "' with type URL: ''"));
    } else {
      context.NotHonoured("");
    }
  }
  const auto& log = proto.application_log_config().log_format();
  out->log_format_text = log.text_format();
  if (log.has_json_format()) {
    out->log_format_json = MetadataValue::From(log.json_format()).ToJson();
  }
}

}  // namespace remora::xds
