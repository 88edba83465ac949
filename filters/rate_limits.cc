#include "filters/rate_limits.h"

#include <netinet/in.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "filters/api/filter.h"
#include "filters/formatter.h"
#include "filters/matchers.h"
#include "filters/request_parts.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

using Proto = envoy::config::route::v3::RateLimit;
using Unit = envoy::type::v3::RateLimitUnit;
constexpr absl::string_view kName = "rate_limits";

struct MetadataPath {
  std::string space;
  std::vector<std::string> path;

  const MetadataValue* In(const Metadata* metadata) const {
    return metadata == nullptr ? nullptr : metadata->Find(space, path);
  }
};

MetadataPath PathOf(const envoy::type::metadata::v3::MetadataKey& key) {
  MetadataPath out{key.key(), {}};
  for (const auto& segment : key.path()) out.path.push_back(segment.key());
  return out;
}

struct QueryMatch {
  std::string name;
  std::optional<StringMatcher> value;  // absent: present is enough
  bool present = true;

  bool Match(const Headers& request) const {
    const std::optional<std::string> found = QueryValue(request.path(), name);
    if (value) return found && value->Match(*found);
    return found.has_value() == present;
  }
};

absl::string_view Or(const std::string& text, absl::string_view otherwise) {
  return text.empty() ? otherwise : absl::string_view(text);
}

std::string Masked(const Address& address, uint32_t v4, uint32_t v6) {
  const uint32_t bits = address.kind() == Address::Kind::kIpv4 ? v4 : v6;
  const absl::StatusOr<CidrRange> range = CidrRange::Create(address.IpString(), bits);
  if (!range.ok()) return {};
  std::string bytes(range->bytes());
  sockaddr_in v4_socket = {};
  sockaddr_in6 v6_socket = {};
  Address masked;
  if (range->kind() == Address::Kind::kIpv4) {
    v4_socket.sin_family = AF_INET;
    bytes.copy(reinterpret_cast<char*>(&v4_socket.sin_addr), 4);
    masked =
        Address::FromSockaddr(reinterpret_cast<const sockaddr*>(&v4_socket), sizeof(v4_socket));
  } else {
    v6_socket.sin6_family = AF_INET6;
    bytes.copy(reinterpret_cast<char*>(&v6_socket.sin6_addr), 16);
    masked =
        Address::FromSockaddr(reinterpret_cast<const sockaddr*>(&v6_socket), sizeof(v6_socket));
  }
  return absl::StrCat(masked.IpString(), "/", range->prefix_length());
}

}  // namespace

struct RateLimits::Action {
  enum class Kind {
    kSourceCluster,
    kDestinationCluster,
    kRequestHeader,
    kQueryParameter,
    kRemoteAddress,
    kMaskedRemoteAddress,
    kGenericKey,
    kHeaderMatch,
    kQueryMatch,
    kDynamicMetadata,
    kRouteMetadata,
    kAddressMatch,
  };
  Kind kind = Kind::kGenericKey;
  std::string key;   // of the descriptor
  std::string name;  // of a header or a parameter
  std::shared_ptr<const Formatter> value;
  std::string otherwise;  // default_value
  bool skip_if_absent = false;
  bool expect_match = true;
  std::vector<HeaderMatcher> headers;
  std::vector<QueryMatch> query;
  MetadataPath metadata;
  uint32_t v4_bits = 32;
  uint32_t v6_bits = 128;
  std::vector<CidrRange> ranges;
  bool invert = false;

  absl::Status Value(const std::string& text) {
    absl::StatusOr<std::shared_ptr<const Formatter>> parsed =
        Formatter::Parse(text, Formatter::Missing::kEmpty);
    if (!parsed.ok()) return parsed.status();
    value = *std::move(parsed);
    return absl::OkStatus();
  }
  // The text of a value, or what stands in for it.
  absl::string_view TextOf(const MetadataValue* value) const {
    const std::string* text = value == nullptr ? nullptr : value->text();
    return text == nullptr || text->empty() ? otherwise : *text;
  }
  absl::Status Read(const Proto::Action& proto);
  absl::Status ReadMatch(const Proto::Action& proto);
  absl::Status ReadAddress(const Proto::Action& proto);
  absl::Status ReadMetadata(const Proto::Action& proto);
};

struct RateLimits::Rule {
  uint32_t stage = 0;
  std::string disable_key;
  bool at_end = false;
  std::vector<Action> actions;
  std::optional<MetadataPath> limit;
  uint32_t fixed_requests = 0;
  int fixed_unit = 0;
  std::optional<uint64_t> hits;
  std::shared_ptr<const Formatter> hits_format;
  bool negative_hits = false;
  RateLimitDescriptor::Headers x_ratelimit = RateLimitDescriptor::Headers::kDefault;
};

RateLimits::RateLimits() = default;
RateLimits::~RateLimits() = default;

absl::Status RateLimits::Action::ReadMatch(const Proto::Action& proto) {
  if (proto.has_header_value_match()) {
    const auto& match = proto.header_value_match();
    kind = Kind::kHeaderMatch;
    key = std::string(Or(match.descriptor_key(), "header_match"));
    otherwise = match.default_value();
    expect_match = !match.has_expect_match() || match.expect_match().value();
    for (const auto& header : match.headers()) {
      absl::StatusOr<HeaderMatcher> matcher = HeaderMatcher::Parse(header);
      if (!matcher.ok()) return matcher.status();
      headers.push_back(*std::move(matcher));
    }
    return Value(match.descriptor_value());
  }
  const auto& match = proto.query_parameter_value_match();
  kind = Kind::kQueryMatch;
  key = std::string(Or(match.descriptor_key(), "query_match"));
  otherwise = match.default_value();
  expect_match = !match.has_expect_match() || match.expect_match().value();
  for (const auto& parameter : match.query_parameters()) {
    QueryMatch one;
    one.name = parameter.name();
    if (parameter.has_string_match()) {
      absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(parameter.string_match());
      if (!matcher.ok()) return matcher.status();
      one.value = *std::move(matcher);
    } else if (parameter.query_parameter_match_specifier_case() ==
               envoy::config::route::v3::QueryParameterMatcher::kPresentMatch) {
      one.present = parameter.present_match();
    }
    query.push_back(std::move(one));
  }
  return Value(match.descriptor_value());
}

absl::Status RateLimits::Action::ReadAddress(const Proto::Action& proto) {
  if (proto.has_masked_remote_address()) {
    kind = Kind::kMaskedRemoteAddress;
    const auto& mask = proto.masked_remote_address();
    if (mask.has_v4_prefix_mask_len()) v4_bits = mask.v4_prefix_mask_len().value();
    if (mask.has_v6_prefix_mask_len()) v6_bits = mask.v6_prefix_mask_len().value();
    return absl::OkStatus();
  }
  const auto& match = proto.remote_address_match();
  kind = Kind::kAddressMatch;
  key = std::string(Or(match.descriptor_key(), "remote_address_match"));
  otherwise = match.default_value();
  invert = match.address_matcher().invert_match();
  for (const auto& range : match.address_matcher().ranges()) {
    absl::StatusOr<CidrRange> parsed =
        CidrRange::Create(range.address_prefix(), range.prefix_len().value());
    if (!parsed.ok()) return parsed.status();
    ranges.push_back(*std::move(parsed));
  }
  return Value(match.descriptor_value());
}

absl::Status RateLimits::Action::ReadMetadata(const Proto::Action& proto) {
  if (proto.has_dynamic_metadata()) {
    kind = Kind::kDynamicMetadata;
    key = proto.dynamic_metadata().descriptor_key();
    metadata = PathOf(proto.dynamic_metadata().metadata_key());
    otherwise = proto.dynamic_metadata().default_value();
    return absl::OkStatus();
  }
  const auto& source = proto.metadata();
  if (source.source() > Proto::Action::MetaData::ROUTE_ENTRY) {
    return NotSupported(kName, "metadata of clusters");
  }
  kind = source.source() == Proto::Action::MetaData::DYNAMIC ? Kind::kDynamicMetadata
                                                             : Kind::kRouteMetadata;
  key = source.descriptor_key();
  metadata = PathOf(source.metadata_key());
  otherwise = source.default_value();
  skip_if_absent = source.skip_if_absent();
  return absl::OkStatus();
}

absl::Status RateLimits::Action::Read(const Proto::Action& proto) {
  switch (proto.action_specifier_case()) {
    case Proto::Action::kSourceCluster:
      kind = Kind::kSourceCluster;
      return absl::OkStatus();
    case Proto::Action::kDestinationCluster:
      kind = Kind::kDestinationCluster;
      return absl::OkStatus();
    case Proto::Action::kRequestHeaders:
      kind = Kind::kRequestHeader;
      key = proto.request_headers().descriptor_key();
      name = absl::AsciiStrToLower(proto.request_headers().header_name());
      skip_if_absent = proto.request_headers().skip_if_absent();
      return absl::OkStatus();
    case Proto::Action::kQueryParameters:
      kind = Kind::kQueryParameter;
      key = proto.query_parameters().descriptor_key();
      name = proto.query_parameters().query_parameter_name();
      skip_if_absent = proto.query_parameters().skip_if_absent();
      return absl::OkStatus();
    case Proto::Action::kRemoteAddress:
      kind = Kind::kRemoteAddress;
      return absl::OkStatus();
    case Proto::Action::kMaskedRemoteAddress:
    case Proto::Action::kRemoteAddressMatch:
      return ReadAddress(proto);
    case Proto::Action::kGenericKey:
      kind = Kind::kGenericKey;
      key = std::string(Or(proto.generic_key().descriptor_key(), "generic_key"));
      otherwise = proto.generic_key().default_value();
      return Value(proto.generic_key().descriptor_value());
    case Proto::Action::kHeaderValueMatch:
    case Proto::Action::kQueryParameterValueMatch:
      return ReadMatch(proto);
    case Proto::Action::kDynamicMetadata:
    case Proto::Action::kMetadata:
      return ReadMetadata(proto);
    case Proto::Action::kExtension:
      return absl::InvalidArgumentError(
          absl::StrCat("Rate limit descriptor extension not found: ", proto.extension().name()));
    case Proto::Action::ACTION_SPECIFIER_NOT_SET:
      return absl::InvalidArgumentError("a rate limit's action is not set");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const RateLimits>> RateLimits::Parse(const List& list) {
  if (list.empty()) return std::shared_ptr<const RateLimits>();
  std::shared_ptr<RateLimits> out(new RateLimits());
  for (const Proto& proto : list) {
    Rule rule;
    rule.stage = proto.stage().value();
    rule.disable_key = proto.disable_key();
    rule.at_end = proto.apply_on_stream_done();
    if (proto.x_ratelimit_option() == Proto::OFF) {
      rule.x_ratelimit = RateLimitDescriptor::Headers::kOff;
    } else if (proto.x_ratelimit_option() == Proto::DRAFT_VERSION_03) {
      rule.x_ratelimit = RateLimitDescriptor::Headers::kDraft03;
    }
    for (const auto& action : proto.actions()) {
      Action parsed;
      if (absl::Status status = parsed.Read(action); !status.ok()) return status;
      rule.actions.push_back(std::move(parsed));
    }
    if (proto.limit().has_dynamic_metadata()) {
      rule.limit = PathOf(proto.limit().dynamic_metadata().metadata_key());
    } else if (proto.limit().has_rate_limit()) {
      rule.fixed_requests = proto.limit().rate_limit().requests_per_unit();
      rule.fixed_unit = proto.limit().rate_limit().unit();
    }
    rule.negative_hits = proto.hits_addend().is_negative_hits();
    if (proto.hits_addend().has_number()) rule.hits = proto.hits_addend().number().value();
    if (const std::string& format = proto.hits_addend().format(); !format.empty()) {
      absl::StatusOr<std::shared_ptr<const Formatter>> parsed =
          Formatter::Parse(format, Formatter::Missing::kEmpty);
      if (!parsed.ok()) return parsed.status();
      rule.hits_format = *std::move(parsed);
    }
    out->rules_.push_back(std::move(rule));
  }
  return std::shared_ptr<const RateLimits>(std::move(out));
}

// False: the request gives no such entry, and with that no descriptor.
bool RateLimits::Act(const Action& action, FilterContext& context, const Headers& request,
                     RateLimitDescriptor* out) {
  using Kind = Action::Kind;
  const StreamInfo& info = context.info();
  const auto add = [&](absl::string_view key, absl::string_view value) {
    out->entries.emplace_back(key, value);
    return true;
  };
  const auto add_formatted = [&] {
    std::string value;
    action.value->Format(info, &value);
    if (value.empty()) value = action.otherwise;
    return !value.empty() && add(action.key, value);
  };
  switch (action.kind) {
    case Kind::kSourceCluster:
      return add("source_cluster", context.local_cluster_name());
    case Kind::kDestinationCluster:
      return add("destination_cluster", context.cluster_name());
    case Kind::kRequestHeader: {
      const std::optional<absl::string_view> value = request.Get(action.name);
      if (!value || value->empty()) return action.skip_if_absent;
      return add(action.key, *value);
    }
    case Kind::kQueryParameter: {
      const std::optional<std::string> value = QueryValue(request.path(), action.name);
      if (!value || value->empty()) return action.skip_if_absent;
      return add(action.key, *value);
    }
    case Kind::kRemoteAddress:
      return info.remote.is_ip() && add("remote_address", info.remote.IpString());
    case Kind::kMaskedRemoteAddress:
      return info.remote.is_ip() &&
             add("masked_remote_address", Masked(info.remote, action.v4_bits, action.v6_bits));
    case Kind::kGenericKey:
      return add_formatted();
    case Kind::kHeaderMatch:
      return MatchAll(action.headers, request) == action.expect_match && add_formatted();
    case Kind::kQueryMatch: {
      bool all = true;
      for (const QueryMatch& match : action.query) all = all && match.Match(request);
      return all == action.expect_match && add_formatted();
    }
    case Kind::kDynamicMetadata:
    case Kind::kRouteMetadata: {
      const absl::string_view value = action.TextOf(action.metadata.In(
          action.kind == Kind::kRouteMetadata ? info.route_metadata : &context.dynamic_metadata()));
      return value.empty() ? action.skip_if_absent : add(action.key, value);
    }
    case Kind::kAddressMatch: {
      bool inside = false;
      for (const CidrRange& range : action.ranges) inside = inside || range.Contains(info.remote);
      return inside != action.invert && add_formatted();
    }
  }
  return false;
}

void RateLimits::Limit(const Rule& rule, FilterContext& context, RateLimitDescriptor* out) {
  if (rule.fixed_unit != 0) {
    out->limit_requests = rule.fixed_requests;
    out->limit_unit = rule.fixed_unit;
  }
  if (!rule.limit) return;
  const MetadataValue* limit = rule.limit->In(&context.dynamic_metadata());
  if (limit == nullptr) return;
  const MetadataValue* requests = limit->Find("requests_per_unit");
  const MetadataValue* unit = limit->Find("unit");
  if (requests == nullptr || requests->number() == nullptr || unit == nullptr ||
      unit->text() == nullptr) {
    return;
  }
  Unit parsed;
  if (!envoy::type::v3::RateLimitUnit_Parse(*unit->text(), &parsed)) return;
  out->limit_requests = static_cast<uint32_t>(*requests->number());
  out->limit_unit = parsed;
}

bool RateLimits::Hits(const Rule& rule, FilterContext& context, RateLimitDescriptor* out) {
  out->hits = rule.hits;
  out->negative_hits = rule.negative_hits;
  if (rule.hits_format == nullptr) return true;
  std::string text;
  rule.hits_format->Format(context.info(), &text);
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) return false;
  out->hits = number;
  return true;
}

void RateLimits::Describe(uint32_t stage, bool at_end, FilterContext& context,
                          const Headers& request, std::vector<RateLimitDescriptor>* out) const {
  for (const Rule& rule : rules_) {
    if (rule.stage != stage || rule.at_end != at_end) continue;
    if (!rule.disable_key.empty() && context.runtime() != nullptr) {
      const FractionalPercent on = context.runtime()->Fraction(
          absl::StrCat("ratelimit.", rule.disable_key, ".http_filter_enabled"), {100, 100});
      if (!on.Includes(context.random())) continue;
    }
    RateLimitDescriptor descriptor;
    descriptor.x_ratelimit = rule.x_ratelimit;
    bool whole = true;
    for (const Action& action : rule.actions) {
      whole = whole && Act(action, context, request, &descriptor);
    }
    if (!whole || descriptor.entries.empty()) continue;
    if (!Hits(rule, context, &descriptor)) continue;
    Limit(rule, context, &descriptor);
    out->push_back(std::move(descriptor));
  }
}

}  // namespace remora
