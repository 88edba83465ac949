#ifndef REMORA_FILTERS_EXT_PROC_CONFIG_H_
#define REMORA_FILTERS_EXT_PROC_CONFIG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "filters/ext_authz_service.h"
#include "filters/grpc_service.h"
#include "filters/matchers.h"

namespace envoy::config::common::mutation_rules::v3 {
class HeaderMutationRules;
}
namespace envoy::extensions::filters::http::ext_proc::v3 {
class ProcessingMode;
}
namespace envoy::service::ext_proc::v3 {
class HeaderMutation;
}

namespace remora::ext_proc {

enum class BodyMode : uint8_t { kNone, kStreamed, kBuffered, kBufferedPartial, kFullDuplex };
// Piece by piece.
inline bool Streams(BodyMode mode) {
  return mode == BodyMode::kStreamed || mode == BodyMode::kFullDuplex;
}

// What of one direction goes to the processor.
struct Mode {
  bool headers = true;
  BodyMode body = BodyMode::kNone;
  bool trailers = false;
};

struct Modes {
  Mode request;
  Mode response;

  static absl::StatusOr<Modes> Parse(
      const envoy::extensions::filters::http::ext_proc::v3::ProcessingMode& proto);
  bool operator==(const Modes& other) const;
};

// Which headers a processor may change.
struct MutationRules {
  bool allow_routing = false;
  bool allow_envoy = false;
  bool disallow_system = false;
  bool disallow_all = false;
  bool disallow_is_error = false;
  std::optional<Regex> allow;
  std::optional<Regex> disallow;

  static absl::StatusOr<MutationRules> Parse(
      const envoy::config::common::mutation_rules::v3::HeaderMutationRules& proto);
  bool Allows(absl::string_view name) const;
};

// Changes headers as the processor says. The number of changes that were refused.
uint64_t ApplyMutation(const envoy::service::ext_proc::v3::HeaderMutation& mutation,
                       const MutationRules& rules, Headers& headers);

struct Settings {
  enum class RouteCache { kDefault, kClear, kRetain };

  std::string stat_prefix;  // "ext_proc.NAME."
  GrpcServiceTarget service;
  bool failure_allowed = false;
  Modes modes;
  int64_t timeout_ms = 200;
  int64_t most_timeout_ms = 0;  // of what the processor may ask for; 0: nothing
  MutationRules rules;
  AnyOf forwarded;  // headers that the processor may see; empty: all
  AnyOf withheld;
  bool mode_override = false;
  std::vector<Modes> overrides_allowed;  // empty: any
  bool immediate_disabled = false;
  bool observes = false;
  bool body_before_headers = false;  // send_body_without_waiting_for_header_response
  bool any_content_length = false;   // allow_content_length_header
  RouteCache route_cache = RouteCache::kDefault;
  int error_status = 500;
  std::vector<std::string> request_attributes;
  std::vector<std::string> response_attributes;
  std::vector<std::string> forwarded_metadata;
  std::vector<std::string> received_metadata;
};

// What a route says; absent: as the filter's.
struct RouteSettings {
  bool disabled = false;
  std::optional<Modes> modes;
  std::optional<GrpcServiceTarget> service;
  std::optional<bool> failure_allowed;
  std::optional<std::vector<std::string>> request_attributes;
  std::optional<std::vector<std::string>> response_attributes;
  std::optional<std::vector<std::string>> forwarded_metadata;
  std::optional<std::vector<std::string>> received_metadata;
  std::vector<std::pair<std::string, std::string>> initial_metadata;
};

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config);
absl::StatusOr<std::shared_ptr<const RouteSettings>> ParseRouteSettings(absl::string_view config);

}  // namespace remora::ext_proc

#endif  // REMORA_FILTERS_EXT_PROC_CONFIG_H_
