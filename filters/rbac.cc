#include "filters/rbac.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/extensions/rbac/principals/mtls_authenticated/v3/mtls_authenticated.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/common.pb.h"
#include "filters/api/filter_state.h"
#include "filters/api/headers.h"
#include "filters/metadata.h"
#include "filters/typed_config.h"
#include "xds/core/v3/extension.pb.h"
#include "xds/type/matcher/v3/matcher.pb.h"

namespace remora {
namespace {

namespace pb = envoy::config::rbac::v3;
constexpr absl::string_view kName = "RBAC";

absl::string_view PathOf(const Headers& headers) {
  const absl::string_view path = headers.path();
  return path.substr(0, path.find_first_of("?#"));
}

bool AnyMatches(const StringMatcher& matcher, const std::vector<std::string>& values) {
  return std::any_of(values.begin(), values.end(),
                     [&](const std::string& value) { return matcher.Match(value); });
}

template <typename T, typename Result>
absl::Status Take(Result result, std::optional<T>* out) {
  if (!result.ok()) return result.status();
  *out = *std::move(result);
  return absl::OkStatus();
}

constexpr absl::string_view kValidatedType =
    "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config";

template <typename Proto>
absl::Status TakeRange(const Proto& proto, std::optional<CidrRange>* out) {
  const uint32_t length = proto.has_prefix_len() ? proto.prefix_len().value() : 0;
  return Take(CidrRange::Create(proto.address_prefix(), length), out);
}

}  // namespace

template <typename List>
absl::StatusOr<RbacRule> RbacRule::ParseList(Kind kind, const List& list) {
  RbacRule out;
  out.kind_ = kind;
  for (const auto& child : list) {
    absl::StatusOr<RbacRule> rule = Parse(child);
    if (!rule.ok()) return rule.status();
    out.children_.push_back(*std::move(rule));
  }
  return out;
}

absl::StatusOr<RbacRule> RbacRule::Parse(const pb::Permission& proto) {
  RbacRule out;
  absl::Status status;
  switch (proto.rule_case()) {
    case pb::Permission::kAndRules:
      return ParseList(Kind::kAllOf, proto.and_rules().rules());
    case pb::Permission::kOrRules:
      return ParseList(Kind::kOneOf, proto.or_rules().rules());
    case pb::Permission::kNotRule: {
      absl::StatusOr<RbacRule> child = Parse(proto.not_rule());
      if (!child.ok()) return child.status();
      out.kind_ = Kind::kNot;
      out.children_.push_back(*std::move(child));
      return out;
    }
    case pb::Permission::kAny:
      return out;
    case pb::Permission::kHeader:
      out.kind_ = Kind::kHeader;
      status = Take(HeaderMatcher::Parse(proto.header()), &out.header_);
      break;
    case pb::Permission::kUrlPath:
      out.kind_ = Kind::kUrlPath;
      status = Take(StringMatcher::Parse(proto.url_path().path()), &out.string_);
      break;
    case pb::Permission::kDestinationIp:
      out.kind_ = Kind::kDestinationIp;
      status = TakeRange(proto.destination_ip(), &out.range_);
      break;
    case pb::Permission::kDestinationPort:
      out.kind_ = Kind::kDestinationPort;
      out.port_start_ = proto.destination_port();
      out.port_end_ = out.port_start_ + 1;
      break;
    case pb::Permission::kDestinationPortRange:
      out.kind_ = Kind::kDestinationPort;
      out.port_start_ = static_cast<uint32_t>(proto.destination_port_range().start());
      out.port_end_ = static_cast<uint32_t>(proto.destination_port_range().end());
      break;
    case pb::Permission::kMetadata:
      out.kind_ = Kind::kMetadata;
      status = Take(MetadataMatcher::Parse(proto.metadata()), &out.metadata_);
      break;
    case pb::Permission::kRequestedServerName:
      out.kind_ = Kind::kServerName;
      status = Take(StringMatcher::Parse(proto.requested_server_name()), &out.string_);
      break;
    case pb::Permission::kSourcedMetadata:
      status = out.ParseSourcedMetadata(proto.sourced_metadata());
      break;
    case pb::Permission::kUriTemplate:
      status = out.ParseUriTemplate(proto);
      break;
    default:
      status = NotSupported(kName, "this kind of permission (matcher)");
  }
  if (!status.ok()) return status;
  return out;
}

template <typename Proto>
absl::Status RbacRule::ParseSourcedMetadata(const Proto& proto) {
  kind_ = Kind::kMetadata;
  of_route_ = proto.metadata_source() == pb::ROUTE;
  return Take(MetadataMatcher::Parse(proto.metadata_matcher()), &metadata_);
}

absl::Status RbacRule::ParseUriTemplate(const pb::Permission& proto) {
  kind_ = Kind::kUriTemplate;
  envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig config;
  if (!proto.uri_template().typed_config().UnpackTo(&config)) {
    return NotSupported(
        kName, absl::StrCat("uri_template ", proto.uri_template().typed_config().type_url()));
  }
  return Take(UriTemplate::Compile(config.path_template()), &template_);
}

absl::Status RbacRule::ParseFilterState(const pb::Principal& proto) {
  kind_ = Kind::kFilterState;
  key_ = proto.filter_state().key();
  if (proto.filter_state().has_string_match()) {
    return Take(StringMatcher::Parse(proto.filter_state().string_match()), &string_);
  }
  for (const auto& range : proto.filter_state().address_match().ranges()) {
    std::optional<CidrRange> parsed;
    absl::Status status = TakeRange(range, &parsed);
    if (!status.ok()) return status;
    ranges_.push_back(*parsed);
  }
  return absl::OkStatus();
}

absl::Status RbacRule::ParseOther(const pb::Principal& proto) {
  switch (proto.identifier_case()) {
    case pb::Principal::kSourcedMetadata:
      return ParseSourcedMetadata(proto.sourced_metadata());
    case pb::Principal::kFilterState:
      return ParseFilterState(proto);
    case pb::Principal::kCustom:
      return ParseCustom(proto);
    default:
      return NotSupported(kName, "this kind of principal");
  }
}

absl::Status RbacRule::ParseCustom(const pb::Principal& proto) {
  const google::protobuf::Any& any = proto.custom().typed_config();
  envoy::extensions::rbac::principals::mtls_authenticated::v3::Config config;
  if (!any.UnpackTo(&config)) {
    return absl::UnimplementedError(absl::StrCat("Didn't find a registered implementation for '",
                                                 proto.custom().name(), "' with type URL: '",
                                                 any.type_url(), "'"));
  }
  kind_ = Kind::kValidated;
  if (!config.has_san_matcher() && !config.any_validated_client_certificate()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kValidatedType,
                     ": one of `any_validated_client_certificate` and `san_matcher` must be set"));
  }
  if (!config.has_san_matcher()) return absl::OkStatus();
  san_type_ = config.san_matcher().san_type();
  return Take(StringMatcher::Parse(config.san_matcher().matcher()), &string_);
}

absl::StatusOr<RbacRule> RbacRule::Parse(const pb::Principal& proto) {
  RbacRule out;
  absl::Status status;
  switch (proto.identifier_case()) {
    case pb::Principal::kAndIds:
      return ParseList(Kind::kAllOf, proto.and_ids().ids());
    case pb::Principal::kOrIds:
      return ParseList(Kind::kOneOf, proto.or_ids().ids());
    case pb::Principal::kNotId: {
      absl::StatusOr<RbacRule> child = Parse(proto.not_id());
      if (!child.ok()) return child.status();
      out.kind_ = Kind::kNot;
      out.children_.push_back(*std::move(child));
      return out;
    }
    case pb::Principal::kAny:
      return out;
    case pb::Principal::kAuthenticated:
      out.kind_ = Kind::kAuthenticated;
      if (proto.authenticated().has_principal_name()) {
        status = Take(StringMatcher::Parse(proto.authenticated().principal_name()), &out.string_);
      }
      break;
    case pb::Principal::kSourceIp:
      out.kind_ = Kind::kConnectionIp;
      status = TakeRange(proto.source_ip(), &out.range_);
      break;
    case pb::Principal::kDirectRemoteIp:
      out.kind_ = Kind::kDirectIp;
      status = TakeRange(proto.direct_remote_ip(), &out.range_);
      break;
    case pb::Principal::kRemoteIp:
      out.kind_ = Kind::kRemoteIp;
      status = TakeRange(proto.remote_ip(), &out.range_);
      break;
    case pb::Principal::kHeader:
      out.kind_ = Kind::kHeader;
      status = Take(HeaderMatcher::Parse(proto.header()), &out.header_);
      break;
    case pb::Principal::kUrlPath:
      out.kind_ = Kind::kUrlPath;
      status = Take(StringMatcher::Parse(proto.url_path().path()), &out.string_);
      break;
    case pb::Principal::kMetadata:
      out.kind_ = Kind::kMetadata;
      status = Take(MetadataMatcher::Parse(proto.metadata()), &out.metadata_);
      break;
    default:
      status = out.ParseOther(proto);
  }
  if (!status.ok()) return status;
  return out;
}

bool RbacRule::MatchAuthenticated(const StreamInfo& info) const {
  const TlsFacts* tls = info.downstream == nullptr ? nullptr : info.downstream->tls;
  if (tls == nullptr) return false;
  if (!string_) return true;
  return AnyMatches(*string_, tls->peer_uri_sans) || AnyMatches(*string_, tls->peer_dns_sans) ||
         string_->Match(tls->peer_subject);
}

bool RbacRule::MatchValidated(const StreamInfo& info) const {
  using San = envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
  const TlsFacts* tls = info.downstream == nullptr ? nullptr : info.downstream->tls;
  if (tls == nullptr || !tls->peer_certificate_validated) return false;
  if (!string_) return true;
  switch (san_type_) {
    case San::EMAIL:
      return AnyMatches(*string_, tls->peer_email_sans);
    case San::DNS:
      return AnyMatches(*string_, tls->peer_dns_sans);
    case San::URI:
      return AnyMatches(*string_, tls->peer_uri_sans);
    case San::IP_ADDRESS:
      return AnyMatches(*string_, tls->peer_ip_sans);
    default:
      return false;
  }
}

bool RbacRule::MatchMetadata(const StreamInfo& info) const {
  static const Metadata kNoMetadata;
  const Metadata* metadata = of_route_ ? info.route_metadata : info.dynamic_metadata;
  return metadata_->Match(metadata == nullptr ? kNoMetadata : *metadata);
}

bool RbacRule::MatchFilterState(const StreamInfo& info) const {
  const FilterState* state = info.filter_state;
  if (state == nullptr && info.downstream != nullptr) state = info.downstream->filter_state;
  const std::string* text = state == nullptr ? nullptr : state->Find(key_);
  if (text == nullptr) return false;
  if (string_) return string_->Match(*text);
  std::optional<Address> address = Address::FromIpPort(*text);
  if (!address) address = Address::FromIp(*text, 0);
  if (!address) return false;
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const CidrRange& range) { return range.Contains(*address); });
}

bool RbacRule::MatchAddress(const Address& address) const {
  return address.is_ip() && range_->Contains(address);
}

bool RbacRule::Match(const RbacInput& input) const {
  const ConnectionInfo* downstream = input.info.downstream;
  const auto matches = [&](const RbacRule& rule) { return rule.Match(input); };
  switch (kind_) {
    case Kind::kAny:
      return true;
    case Kind::kAllOf:
      return std::all_of(children_.begin(), children_.end(), matches);
    case Kind::kOneOf:
      return std::any_of(children_.begin(), children_.end(), matches);
    case Kind::kNot:
      return !children_.front().Match(input);
    case Kind::kHeader:
      return input.headers != nullptr && header_->Match(*input.headers);
    case Kind::kUrlPath:
      return input.headers != nullptr && !input.headers->path().empty() &&
             string_->Match(PathOf(*input.headers));
    case Kind::kDestinationIp:
      return downstream != nullptr && MatchAddress(downstream->local);
    case Kind::kDestinationPort:
      return downstream != nullptr && downstream->local.is_ip() &&
             downstream->local.port() >= port_start_ && downstream->local.port() < port_end_;
    case Kind::kMetadata:
      return MatchMetadata(input.info);
    case Kind::kFilterState:
      return MatchFilterState(input.info);
    case Kind::kUriTemplate:
      return input.headers != nullptr && template_->Match(PathOf(*input.headers));
    case Kind::kServerName:
      return downstream != nullptr && string_->Match(downstream->requested_server_name);
    case Kind::kAuthenticated:
      return MatchAuthenticated(input.info);
    case Kind::kValidated:
      return MatchValidated(input.info);
    case Kind::kConnectionIp:
      return downstream != nullptr && MatchAddress(downstream->remote);
    case Kind::kDirectIp:
      return downstream != nullptr && MatchAddress(downstream->direct_remote);
    case Kind::kRemoteIp:
      return MatchAddress(input.info.remote);
  }
  return false;
}

absl::StatusOr<RbacEngine::Policy> RbacEngine::ParsePolicy(const std::string& name,
                                                           const pb::Policy& proto) {
  if (proto.has_condition() || proto.has_checked_condition()) {
    return NotSupported(kName, "condition");
  }
  Policy out;
  out.name = name;
  for (const pb::Permission& permission : proto.permissions()) {
    absl::StatusOr<RbacRule> rule = RbacRule::Parse(permission);
    if (!rule.ok()) return rule.status();
    out.permissions.push_back(*std::move(rule));
  }
  for (const pb::Principal& principal : proto.principals()) {
    absl::StatusOr<RbacRule> rule = RbacRule::Parse(principal);
    if (!rule.ok()) return rule.status();
    out.principals.push_back(*std::move(rule));
  }
  return out;
}

namespace {

RbacEngine::Action FromProto(pb::RBAC::Action action) {
  switch (action) {
    case pb::RBAC::DENY:
      return RbacEngine::Action::kDeny;
    case pb::RBAC::LOG:
      return RbacEngine::Action::kLog;
    default:
      return RbacEngine::Action::kAllow;
  }
}

}  // namespace

absl::StatusOr<RbacEngine> RbacEngine::Parse(const pb::RBAC& proto) {
  RbacEngine out;
  out.action_ = FromProto(proto.action());
  for (const auto& config : proto.audit_logging_options().logger_configs()) {
    if (config.is_optional()) continue;  // none is known, and this one may be left out
    return absl::UnimplementedError(
        absl::StrCat("Didn't find a registered implementation for '", config.audit_logger().name(),
                     "' with type URL: '", config.audit_logger().typed_config().type_url(), "'"));
  }
  const std::map<std::string, pb::Policy> sorted(proto.policies().begin(), proto.policies().end());
  for (const auto& [name, policy] : sorted) {
    absl::StatusOr<Policy> parsed = ParsePolicy(name, policy);
    if (!parsed.ok()) return parsed.status();
    out.policies_.push_back(*std::move(parsed));
  }
  return out;
}

absl::StatusOr<RbacEngine> RbacEngine::ParseMatcher(
    const ::xds::type::matcher::v3::Matcher& proto) {
  RbacEngine out;
  absl::StatusOr<MatchTree> tree = MatchTree::Parse(
      proto, [&out](const ::xds::core::v3::TypedExtensionConfig& config) -> absl::StatusOr<size_t> {
        pb::Action action;
        if (!config.typed_config().UnpackTo(&action)) {
          return NotSupported(kName, absl::StrCat("action ", config.typed_config().type_url()));
        }
        Policy policy;
        policy.name = action.name();
        policy.action = FromProto(action.action());
        out.policies_.push_back(std::move(policy));
        return out.policies_.size() - 1;
      });
  if (!tree.ok()) return tree.status();
  out.tree_ = *std::move(tree);
  return out;
}

RbacEngine::Verdict RbacEngine::JudgeByMatcher(const RbacInput& input) const {
  Verdict out;
  const std::optional<size_t> found = tree_->Match(input);
  if (!found.has_value()) {
    out.allowed = false;
    return out;
  }
  out.policy = &policies_[*found].name;
  out.policy_index = *found;
  out.allowed = policies_[*found].action != Action::kDeny;
  return out;
}

RbacEngine::Verdict RbacEngine::Judge(const RbacInput& input) const {
  if (tree_.has_value()) return JudgeByMatcher(input);
  Verdict out;
  const auto matches = [&](const RbacRule& rule) { return rule.Match(input); };
  for (size_t i = 0; i < policies_.size(); ++i) {
    const Policy& policy = policies_[i];
    if (!std::any_of(policy.permissions.begin(), policy.permissions.end(), matches)) continue;
    if (!std::any_of(policy.principals.begin(), policy.principals.end(), matches)) continue;
    out.policy = &policy.name;
    out.policy_index = i;
    break;
  }
  switch (action_) {
    case Action::kAllow:
      out.allowed = out.policy != nullptr;
      break;
    case Action::kDeny:
      out.allowed = out.policy == nullptr;
      break;
    case Action::kLog:
      break;
  }
  return out;
}

}  // namespace remora
