#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/route/v3/route.pb.h"
#include "xds/route_parse.h"
#include "xds/type_registry.h"

namespace remora::xds {

using RouteConfigurationProto = envoy::config::route::v3::RouteConfiguration;

// Fills a table from its proto.
class RouteTable::Parser {
 public:
  Parser(RouteTable* table, ParseContext& context) : table_(*table), context_(context) {}

  void Parse(const RouteConfigurationProto& proto) {
    table_.name_ = proto.name();
    table_.original_ = SerializeDeterministically(proto);
    ParseTableFields(proto);
    const RouteDefaults defaults = Defaults(proto);
    table_.virtual_hosts_.reserve(proto.virtual_hosts_size());
    for (int i = 0; i < proto.virtual_hosts_size(); ++i) {
      ParseContext::Scope scope(context_, "virtual_hosts", i);
      VirtualHost host = ParseVirtualHost(proto.virtual_hosts(i), defaults, context_);
      host.IndexPaths(defaults.ignore_path_parameters);
      table_.virtual_hosts_.push_back(std::move(host));
      AddDomains(static_cast<uint32_t>(i));
    }
    SortLevels(&table_.suffixes_);
    SortLevels(&table_.prefixes_);
    CollectClusters();
  }

 private:
  RouteDefaults Defaults(const RouteConfigurationProto& proto) {
    RouteDefaults defaults;
    defaults.mirrors = ParseMirrors(proto.request_mirror_policies(), context_);
    if (proto.has_max_direct_response_body_size_bytes()) {
      defaults.max_direct_response_body = proto.max_direct_response_body_size_bytes().value();
    }
    defaults.ignore_path_parameters = proto.ignore_path_parameters_in_path_matching();
    defaults.validate_clusters = table_.validate_clusters_.value_or(true);
    return defaults;
  }

  void ParseTableFields(const RouteConfigurationProto& proto) {
    table_.request_headers_ = ParseHeaderMutations(
        "request_headers_to_add", proto.request_headers_to_add(), "request_headers_to_remove",
        proto.request_headers_to_remove(), context_);
    table_.response_headers_ = ParseHeaderMutations(
        "response_headers_to_add", proto.response_headers_to_add(), "response_headers_to_remove",
        proto.response_headers_to_remove(), context_);
    for (const std::string& header : proto.internal_only_headers()) {
      table_.internal_only_headers_.push_back(absl::AsciiStrToLower(header));
    }
    table_.per_filter_ = ParsePerFilter(proto.typed_per_filter_config(), context_);
    table_.metadata_ = Metadata::From(proto.metadata());
    table_.most_specific_header_mutations_wins_ = proto.most_specific_header_mutations_wins();
    if (proto.has_validate_clusters()) {
      table_.validate_clusters_ = proto.validate_clusters().value();
    }
    table_.ignore_port_in_host_matching_ = proto.ignore_port_in_host_matching();
    table_.vhost_header_ = absl::AsciiStrToLower(proto.vhost_header());
    if (proto.has_vhds()) ParseLateHosts(proto.vhds());
    if (proto.cluster_specifier_plugins_size() != 0) {
      context_.NotHonoured("cluster_specifier_plugins");
    }
    if (proto.route_specifiers_size() != 0) {
      context_.ErrorAt("route_specifiers", "are not supported");
    }
  }

  void ParseLateHosts(const envoy::config::route::v3::Vhds& proto) {
    ParseContext::Scope scope(context_, "vhds.config_source");
    table_.vhds_source_ = ParseConfigSource(proto.config_source(), context_);
    const ConfigSource& source = table_.vhds_source_;
    if (source.kind == ConfigSource::Kind::kApi && !source.api.delta()) {
      context_.Error("vhds: only 'DELTA_GRPC' is supported as an api_type.");
    }
  }

  void AddDomains(uint32_t index) {
    const VirtualHost& host = table_.virtual_hosts_[index];
    for (size_t i = 0; i < host.domains.size(); ++i) {
      ParseContext::Scope scope(context_, "domains", i);
      AddDomain(host.domains[i], index);
    }
  }

  void AddDomain(const std::string& domain, uint32_t index) {
    bool added = false;
    if (domain == "*") {
      if (table_.any_.has_value()) {
        return context_.Error(
            absl::StrCat("Only a single wildcard domain is permitted in route ", table_.name_));
      }
      table_.any_ = index;
      return;
    }
    if (absl::StartsWith(domain, "*")) {
      added = AddWildcard(&table_.suffixes_, domain.substr(1), index);
    } else if (absl::EndsWith(domain, "*")) {
      added = AddWildcard(&table_.prefixes_, domain.substr(0, domain.size() - 1), index);
    } else {
      added = table_.exact_.emplace(domain, index).second;
    }
    if (!added) {
      context_.Error(
          absl::StrCat("Only unique values for domains are permitted. Duplicate entry of "
                       "domain ",
                       domain, " in route ", table_.name_));
    }
  }

  static bool AddWildcard(std::vector<WildcardLevel>* levels, const std::string& fixed,
                          uint32_t index) {
    for (WildcardLevel& level : *levels) {
      if (level.length == fixed.size()) {
        return level.hosts.emplace(fixed, index).second;
      }
    }
    levels->push_back({fixed.size(), {{fixed, index}}});
    return true;
  }

  static void SortLevels(std::vector<WildcardLevel>* levels) {
    std::sort(levels->begin(), levels->end(),
              [](const WildcardLevel& a, const WildcardLevel& b) { return a.length > b.length; });
  }

  void CollectClusters() {
    absl::flat_hash_set<std::string> seen;
    const auto add = [&](const std::string& name) {
      if (!name.empty() && seen.insert(name).second) {
        table_.clusters_.push_back(name);
      }
    };
    for (const VirtualHost& host : table_.virtual_hosts_) {
      for (const Route& route : host.routes) {
        const ForwardAction* forward = route.forward();
        if (forward == nullptr) continue;
        if (forward->cluster_by == ForwardAction::ClusterBy::kName) {
          add(forward->cluster);
        }
        for (const WeightedCluster& item : forward->weighted) add(item.name);
        for (const MirrorPolicy& mirror : forward->mirrors) {
          add(mirror.cluster);
        }
      }
    }
  }

  RouteTable& table_;
  ParseContext& context_;
};

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::Parse(
    const RouteConfigurationProto& proto, ParseContext& context) {
  const size_t before = context.error_count();
  auto table = std::make_shared<RouteTable>();
  Parser(table.get(), context).Parse(proto);
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return table;
}

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::With(
    absl::Span<const std::string* const> hosts) const {
  RouteConfigurationProto proto;
  proto.ParseFromString(original_);
  for (const std::string* host : hosts) proto.add_virtual_hosts()->ParseFromString(*host);
  ParseContext context(ParseContext::Origin::kDynamic);
  return Parse(proto, context);
}

VirtualHost VirtualHost::Parse(const envoy::config::route::v3::VirtualHost& proto,
                               ParseContext& context) {
  VirtualHost out = ParseVirtualHost(proto, RouteDefaults(), context);
  out.IndexPaths(/*ignore_path_parameters=*/false);
  return out;
}

}  // namespace remora::xds
