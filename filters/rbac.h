#ifndef REMORA_FILTERS_RBAC_H_
#define REMORA_FILTERS_RBAC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/address.h"
#include "filters/api/stream_info.h"
#include "filters/match_tree.h"
#include "filters/matchers.h"
#include "filters/uri_template.h"

namespace envoy::config::rbac::v3 {
class Permission;
class Policy;
class Principal;
class RBAC;
}  // namespace envoy::config::rbac::v3
namespace xds::type::matcher::v3 {
class Matcher;
}

namespace remora {

// What a request (or, without headers, a connection) is judged by.
using RbacInput = MatchSubject;

// One node of a permission or a principal.
class RbacRule {
 public:
  static absl::StatusOr<RbacRule> Parse(const envoy::config::rbac::v3::Permission& proto);
  static absl::StatusOr<RbacRule> Parse(const envoy::config::rbac::v3::Principal& proto);
  bool Match(const RbacInput& input) const;

 private:
  enum class Kind {
    kAny,
    kAllOf,
    kOneOf,
    kNot,
    kHeader,
    kUrlPath,
    kDestinationIp,
    kDestinationPort,
    kMetadata,
    kFilterState,
    kUriTemplate,
    kServerName,
    kAuthenticated,
    kValidated,     // by a TLS certificate that was verified
    kConnectionIp,  // the peer, as listener filters say
    kDirectIp,      // the peer of the socket
    kRemoteIp,      // the client, as the connection manager concluded
  };
  template <typename List>
  static absl::StatusOr<RbacRule> ParseList(Kind kind, const List& list);
  // One of the kinds that permissions and principals share.
  template <typename Proto>
  absl::Status ParseSourcedMetadata(const Proto& proto);
  absl::Status ParseFilterState(const envoy::config::rbac::v3::Principal& proto);
  absl::Status ParseUriTemplate(const envoy::config::rbac::v3::Permission& proto);
  absl::Status ParseOther(const envoy::config::rbac::v3::Principal& proto);
  absl::Status ParseCustom(const envoy::config::rbac::v3::Principal& proto);
  bool MatchAuthenticated(const StreamInfo& info) const;
  bool MatchValidated(const StreamInfo& info) const;
  bool MatchMetadata(const StreamInfo& info) const;
  bool MatchFilterState(const StreamInfo& info) const;
  bool MatchAddress(const Address& address) const;

  Kind kind_ = Kind::kAny;
  std::vector<RbacRule> children_;
  std::optional<HeaderMatcher> header_;
  std::optional<StringMatcher> string_;
  std::optional<CidrRange> range_;
  std::vector<CidrRange> ranges_;  // of an address in the filter state
  std::optional<MetadataMatcher> metadata_;
  bool of_route_ = false;  // the route's metadata, not what filters noted
  std::string key_;        // of the filter state
  std::optional<UriTemplate> template_;
  int san_type_ = 0;  // SubjectAltNameMatcher.SanType
  uint32_t port_start_ = 0;
  uint32_t port_end_ = 0;  // exclusive
};

// The policies of one RBAC message: allow, deny or log what the first matching policy (by name)
// describes; or the actions of a matcher.
//
// Threads: const after Parse, shared.
class RbacEngine {
 public:
  enum class Action { kAllow, kDeny, kLog };
  struct Verdict {
    bool allowed = true;
    // The policy that matched; null when none did.
    const std::string* policy = nullptr;
    size_t policy_index = 0;
  };

  static absl::StatusOr<RbacEngine> Parse(const envoy::config::rbac::v3::RBAC& proto);
  // Actions found by the matching API; nothing found is denied. Names of policies are names of
  // actions.
  static absl::StatusOr<RbacEngine> ParseMatcher(const ::xds::type::matcher::v3::Matcher& proto);
  Verdict Judge(const RbacInput& input) const;
  Action action() const { return action_; }
  size_t policy_count() const { return policies_.size(); }
  const std::string& policy_name(size_t index) const { return policies_[index].name; }

 private:
  struct Policy {
    std::string name;
    Action action = Action::kAllow;     // of a matcher's
    std::vector<RbacRule> permissions;  // one of them
    std::vector<RbacRule> principals;   // and one of these
  };
  Verdict JudgeByMatcher(const RbacInput& input) const;
  static absl::StatusOr<Policy> ParsePolicy(const std::string& name,
                                            const envoy::config::rbac::v3::Policy& proto);

  Action action_ = Action::kAllow;
  std::vector<Policy> policies_;  // by name
  std::optional<MatchTree> tree_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_RBAC_H_
