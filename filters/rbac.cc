#include "filters/rbac.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
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
    default:
      status =
          NotSupported(kName, "this kind of permission (matcher, uri_template, sourced_metadata)");
  }
  if (!status.ok()) return status;
  return out;
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
      status = NotSupported(kName, "this kind of principal");
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

bool RbacRule::MatchAddress(const Address& address) const {
  return address.is_ip() && range_->Contains(address);
}

bool RbacRule::Match(const RbacInput& input) const {
  static const Metadata kNoMetadata;
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
      return metadata_->Match(
          input.info.dynamic_metadata == nullptr ? kNoMetadata : *input.info.dynamic_metadata);
    case Kind::kServerName:
      return downstream != nullptr && string_->Match(downstream->requested_server_name);
    case Kind::kAuthenticated:
      return MatchAuthenticated(input.info);
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
